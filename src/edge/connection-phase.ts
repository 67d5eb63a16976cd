/** What an HTTP/1.1 connection of a client is at, and what it waits for. */

/**
 * `idle`: between requests; `head`: part of a head is here; `queued`: a head is here and waits for its customer's turn; `exchange`: a request is being answered; `surplus`: it has been answered, and the
 * rest of its body is thrown away; `unread`: so much of the answers has not left that the next request waits; `tunnel`: no requests any more,
 * but bytes of another protocol; `lingering`: the answer has been sent and the connection ends; `closed`.
 */
export type Phase = 'idle' | 'head' | 'queued' | 'exchange' | 'surplus' | 'unread' | 'tunnel' | 'lingering' | 'closed';

/**
 * What the deadline that is armed stands for. It is not disarmed when a phase ends: `none` makes it a no-op. `absence`: the client is not read, and
 * has no deadline itself.
 */
export type Waiting = 'none' | 'absence' | 'first_request' | 'keep_alive' | 'head' | 'body' | 'drain' | 'linger';
