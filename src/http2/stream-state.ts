/**
 * The states of a stream that a client opened (RFC 9113 §5.1), to either side. Nothing is ever pushed, so the reserved states do not exist. What is not in the
 * table is forbidden: to the client, which is then told so, and to the rest of the program, where nothing is sent.
 */

export type StreamState = 'idle' | 'open' | 'half_closed_remote' | 'half_closed_local' | 'closed';

/** `…_end` is the end of the message, which a frame of DATA or HEADERS carries. */
export type StreamEvent =
  | 'receive_headers' | 'receive_data' | 'receive_end' | 'receive_window_update' | 'receive_reset'
  | 'send_headers' | 'send_data' | 'send_end' | 'send_window_update' | 'send_reset';

type Transitions = Readonly<Record<StreamState, Readonly<Partial<Record<StreamEvent, StreamState>>>>>;

export const TRANSITIONS: Transitions = {
  idle: {
    receive_headers: 'open', send_headers: 'open',
  },
  open: {
    receive_headers: 'open', receive_data: 'open', receive_end: 'half_closed_remote', receive_window_update: 'open', receive_reset: 'closed',
    send_headers: 'open', send_data: 'open', send_end: 'half_closed_local', send_window_update: 'open', send_reset: 'closed',
  },
  half_closed_remote: {
    receive_window_update: 'half_closed_remote', receive_reset: 'closed',
    send_headers: 'half_closed_remote', send_data: 'half_closed_remote', send_end: 'closed', send_reset: 'closed',
  },
  half_closed_local: {
    receive_headers: 'half_closed_local', receive_data: 'half_closed_local', receive_end: 'closed',
    receive_window_update: 'half_closed_local', receive_reset: 'closed', send_window_update: 'half_closed_local', send_reset: 'closed',
  },
  closed: {},
};

/** Null where the event is forbidden. */
export function nextState(state: StreamState, event: StreamEvent): StreamState | null {
  return TRANSITIONS[state][event] ?? null;
}
