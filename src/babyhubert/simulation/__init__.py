"""Child-centred scenes with exact ground truth.

``voices`` (a formant synthesiser) or ``utterance_table`` (recorded utterances) give a ``Cast`` of speakers; ``scene``
generates conversations over household ``noise`` with every segment exact to the sample; ``writer`` writes scenes to
disk.
"""
