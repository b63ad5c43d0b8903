"""Parts of ``dense-perception doctor``."""
