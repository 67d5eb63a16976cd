import type {SourceAddressSnapshot} from '#src/config/snapshot.ts';

/** What a server with this address is connected to from; null leaves it to the system. */
export function sourceAddressFor(serverAddress: string, {ipv4, ipv6}: SourceAddressSnapshot): string | null {
  return serverAddress.includes(':') ? ipv6 : ipv4;
}
