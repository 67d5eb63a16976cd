/** Where an upstream connection is in its life, and what it waits for. */
import type {FaultCode} from '#src/core/faults.ts';

/** `tunnel`: after an upgrade; `ending`: what was written to a tunnel still leaves. The others are those of a request. */
export type Phase = 'connecting' | 'idle' | 'head' | 'body' | 'tunnel' | 'ending' | 'closed';

/** What the deadline that is armed stands for. It is not disarmed when a phase ends: `none` makes it a no-op. */
export type Waiting = 'none' | 'connect' | 'drain' | 'head' | 'body' | 'keep_alive' | 'linger';

export const FAULT_OF_WAITING = {
  connect: 'connect_timeout', drain: 'response_head_timeout', head: 'response_head_timeout', body: 'response_idle_timeout',
} as const satisfies Partial<Record<Waiting, FaultCode>>;
