"""Star, galaxy, QSO or unknown, from optical spectra of LAMOST, SDSS and others."""
