/** What the nodes of a fleet share, and through which store. */
import path from 'node:path';
import {storeAddress} from '#src/config/address-scalars.ts';
import type {FileSource} from '#src/config/file-source.ts';
import type {ConfigPath} from '#src/config/problem.ts';
import type {Report} from '#src/config/report.ts';
import {filePath, flag, readText, scalar, section} from '#src/config/scalars.ts';
import type {FleetSnapshot} from '#src/config/snapshot.ts';
import type {z} from 'zod';

const USER_PATTERN = /^[!-~]{1,128}$/;

const user = scalar({
  type: 'text',
  allowed: 'a user name of 1 to 128 printable ASCII characters without spaces',
  remedy: 'write for example torwart',
  json: {type: 'string', pattern: USER_PATTERN.source},
  read: readText((text) => (USER_PATTERN.test(text) ? text : null)),
});

export const fleetSection = section({
  store: section({
    address: storeAddress.describe('Internal address and port of a Valkey or Redis server. The only one that is connected to.'),
    user: user.optional().describe("Name in the store's access list. Default: its default user."),
    password_file: filePath.optional().describe('File with the password and nothing else. Relative to this file. Default: no password.'),
  }).describe('Where the nodes meet.'),
  secret_file: filePath.describe('File with a secret of at least 32 characters, the same on all nodes: the store holds no address and no account in the clear, and nobody without the secret can ban. Relative to this file.'),
  share_bans: flag.prefault(true).describe('A ban on one node is one on all, and so is its end.'),
});

type FleetInput = z.output<typeof fleetSection>;

const SECRET_FILE_BYTES_MAX = 4096;
const SECRET_CHARACTERS_MIN = 32;

/** Reads the files that the section names. Null where one is wrong: that is reported. */
export async function compileFleet({store, secret_file: secretFile, share_bans: areBansShared}: FleetInput, file: string, source: FileSource, report: Report): Promise<FleetSnapshot | null> {
  const read = (written: string, place: ConfigPath, charactersMin: number): Promise<string | null> => readSecret(path.resolve(path.dirname(file), written), {place, charactersMin, source, report});
  const secret = await read(secretFile, ['fleet', 'secret_file'], SECRET_CHARACTERS_MIN);
  const password = store.password_file === undefined ? '' : await read(store.password_file, ['fleet', 'store', 'password_file'], 1);
  if (secret === null || password === null) return null;
  return {...store.address, user: store.user ?? null, password: password === '' ? null : password, secret, areBansShared};
}

interface SecretWish {
  readonly place: ConfigPath;
  readonly charactersMin: number;
  readonly source: FileSource;
  readonly report: Report;
}

/** Nothing of a secret ever stands in a complaint. */
async function readSecret(file: string, {place, charactersMin, source, report}: SecretWish): Promise<string | null> {
  const read = await source.readText(file, SECRET_FILE_BYTES_MAX);
  const text = read.ok ? read.text.replace(/\r?\n$/, '') : '';
  if (read.ok && text.length >= charactersMin && /^[!-~]+$/.test(text)) return text;
  report.problem(place, {
    found: read.ok ? `a file with a line of ${text.length} characters` : read.reason,
    allowed: `a readable file with one line of at least ${charactersMin} printable ASCII characters without spaces`,
    remedy: charactersMin > 1 ? 'make one with: openssl rand -hex 32' : 'write the password into it, and nothing else',
  });
  return null;
}
