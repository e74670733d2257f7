"""To whom adults speak: a task that classifies utterances."""
