"""Parts of ``dense-perception view``."""
