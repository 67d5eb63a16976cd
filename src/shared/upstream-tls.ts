/** How Torwart speaks TLS to applications: the same for their traffic and for their probes. */
import {X509Certificate} from 'node:crypto';
import {createSecureContext, type ConnectionOptions, type PeerCertificate, type SecureContext} from 'node:tls';
import type {PoolTlsSnapshot, UpstreamProtocol} from '#src/config/snapshot.ts';
import {TLS_CIPHERS, TLS_GROUPS} from '#src/core/tls-parameters.ts';

/** A wildcard stands for one whole label, and the subject's common name for nothing (RFC 9525 §6.3, §2). */
const NAME_CHECK = {subject: 'never', partialWildcards: false, multiLabelWildcards: false} as const;

export interface TlsTarget {
  /** IP literal. */
  readonly address: string;
  readonly protocol: UpstreamProtocol;
  readonly secureContext: SecureContext;
}

/** The certificate that a server shows is another's. */
class IdentityError extends Error {
  readonly code = 'ERR_TLS_CERT_ALTNAME_INVALID';
}

/** Throws where OpenSSL does not take what the configuration has, for example a key that is too short for today. */
export function createUpstreamContext(tls: PoolTlsSnapshot): SecureContext {
  return createSecureContext({
    ciphers: TLS_CIPHERS,
    ecdhCurve: TLS_GROUPS,
    minVersion: tls.versionMin,
    maxVersion: 'TLSv1.3',
    ...(tls.caPem === null ? {} : {ca: tls.caPem}),
    ...(tls.certificate === null ? {} : {cert: tls.certificate.certPem, key: tls.certificate.keyPem}),
  });
}

/**
 * What `tls.connect` needs besides the address. Whoever connects must send nothing before `secureConnect`: only then is it known who
 * has answered.
 */
export function upstreamTlsOptions(tls: PoolTlsSnapshot, {address, protocol, secureContext}: TlsTarget): ConnectionOptions {
  return {
    secureContext,
    rejectUnauthorized: tls.isVerified,
    checkServerIdentity: (_host, certificate) => checkIdentity(certificate, tls.serverName, address),
    ALPNProtocols: [protocol === 'h2' ? 'h2' : 'http/1.1'],
    ...(tls.serverName === '' ? {} : {servername: tls.serverName}),
  };
}

/** Node's own check would take the common name where there are no names. */
function checkIdentity({raw}: PeerCertificate, serverName: string, address: string): Error | undefined {
  const certificate = new X509Certificate(raw);
  const match = serverName === '' ? certificate.checkIP(address) : certificate.checkHost(serverName, NAME_CHECK);
  return match === undefined ? new IdentityError(`the certificate is not for ${serverName === '' ? address : serverName}`) : undefined;
}
