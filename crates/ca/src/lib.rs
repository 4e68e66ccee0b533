//! Issuing: who may hold which identity, and the certificates that say so.
