/**
 * What can be asked of a running daemon over its admin socket: the requests, their answers, and who answers them. A command that joins
 * adds a request schema and a row of `handlers`.
 */
import {z} from 'zod';
import {LIMITS} from '#src/core/limits.ts';
import type {Ban, BanOutcome} from '#src/control/ban-book.ts';
import type {BanKeeper} from '#src/control/ban-keeper.ts';

const customer = z.string().max(64).nullable();
const network = z.string().max(64);

const requestSchema = z.discriminatedUnion('command', [
  z.strictObject({command: z.literal('ban'), customer, network, reason: z.string().max(4 * LIMITS.banReasonLengthMax), forMs: z.number().int()}),
  z.strictObject({command: z.literal('unban'), customer, network}),
  z.strictObject({command: z.literal('bans')}),
]);

export type AdminRequest = z.output<typeof requestSchema>;

/** `isSaved`: the change will survive a restart. */
export interface AdminResults {
  readonly ban: {readonly ban: Ban; readonly isSaved: boolean};
  readonly unban: {readonly ban: Ban; readonly isSaved: boolean};
  readonly bans: readonly Ban[];
}

export type AdminAnswer<C extends keyof AdminResults = keyof AdminResults> =
  | {readonly ok: true; readonly result: AdminResults[C]}
  | {readonly ok: false; readonly error: string};

export interface AdminParts {
  readonly bans: BanKeeper;
}

type Handlers = {readonly [C in AdminRequest['command']]: (request: Extract<AdminRequest, {command: C}>) => Promise<AdminAnswer<C>>};

const SOURCE = 'admin_socket';

function createHandlers({bans}: AdminParts): Handlers {
  const saved = async (outcome: BanOutcome): Promise<AdminAnswer<'ban'>> =>
    (outcome.ok ? {ok: true, result: {ban: outcome.ban, isSaved: await bans.save()}} : outcome);
  return {
    ban: ({customer, network, reason, forMs}) => saved(bans.book.ban({customer, network, reason, forMs, source: SOURCE})),
    unban: ({customer, network}) => saved(bans.book.unban(customer, network, SOURCE)),
    bans: () => Promise.resolve({ok: true, result: bans.book.list()}),
  };
}

/** Answers a request that is still text. Rejects only for bugs. */
export function createAdminRouter(parts: AdminParts): (text: string) => Promise<AdminAnswer> {
  const handlers = createHandlers(parts);
  return (text) => {
    const request = parseRequest(text);
    if (typeof request === 'string') return Promise.resolve({ok: false, error: request});
    const handler = handlers[request.command] as (request: AdminRequest) => Promise<AdminAnswer>;
    return handler(request);
  };
}

function parseRequest(text: string): AdminRequest | string {
  try {
    const {success, data, error} = requestSchema.safeParse(JSON.parse(text));
    return success ? data : `the request is not understood: ${error.issues.map(({path, message}) => `${path.join('.')}: ${message}`).join('; ')}`;
  } catch {
    return 'the request is not JSON';
  }
}
