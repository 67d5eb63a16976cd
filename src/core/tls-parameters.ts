/** What Torwart speaks in TLS, towards clients and towards servers. */

/**
 * Mozilla's intermediate suites for TLS 1.2 (version 5.7 of the guidelines): forward secrecy and AEAD only. TLS 1.3 has no weak ones.
 * Two DHE suites of the list are left out: they need parameters of their own, and every peer that speaks them speaks ECDHE.
 */
export const TLS_CIPHERS = [
  'TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-RSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES256-GCM-SHA384', 'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305', 'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

/** The groups that every current peer has; the post-quantum hybrid first. */
export const TLS_GROUPS = 'X25519MLKEM768:X25519:prime256v1:secp384r1';
