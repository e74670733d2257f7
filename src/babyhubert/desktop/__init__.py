"""The page of ``babyhubert app``: analyses started and watched in a browser, by the commands of the terminal."""
