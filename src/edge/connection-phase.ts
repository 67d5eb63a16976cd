/** What an HTTP/1.1 connection of a client is at, and what it waits for. */

/**
 * `between`: no request is being answered; `exchange`: one is; `surplus`: it has been answered, and the rest of its body is thrown away; `unread`: so much
 * of the answers has not left that the next request waits; `tunnel`: no requests any more, but bytes of another protocol; `lingering`: the answer has
 * been sent and the connection ends; `closed`.
 */
export type Phase = 'between' | 'exchange' | 'surplus' | 'unread' | 'tunnel' | 'lingering' | 'closed';

/**
 * What comes next from the client. `idle`: a head; `head`: the rest of one; `queued`: a head is here and waits for its customer's turn: what follows it;
 * `request`: the body of the request that is being answered, and what follows it; `ended`: nothing that is read as a request. The first three are those
 * of the phase `between`.
 */
export type Reading = 'idle' | 'head' | 'queued' | 'request' | 'ended';

/**
 * What the deadline that is armed stands for. It is not disarmed when a phase ends: `none` makes it a no-op. `absence`: the client is not read, and
 * has no deadline itself.
 */
export type Waiting = 'none' | 'absence' | 'first_request' | 'keep_alive' | 'head' | 'body' | 'drain' | 'linger';
