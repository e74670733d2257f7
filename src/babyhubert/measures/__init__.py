"""What a run says in numbers: speech, turns, addressees and the child's phones, by recording and by hour."""
