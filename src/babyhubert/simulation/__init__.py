"""Child-centred scenes with exact ground truth.

Flow: ``voices`` (a formant synthesiser) or ``utterance_table`` (recorded utterances) give a ``Cast`` of speakers;
``scene`` lets them converse over household ``noise`` and knows every segment to the sample; ``writer`` puts scenes on
disk.
"""
