/**
 * The last good version of each customer's file, as `customers/NAME.yaml` in the state folder: the text as it was in force, below one
 * line of comment that says where it comes from. No certificate, key or file of users is copied: what the text names is read from where
 * it is.
 */
import {createHash} from 'node:crypto';
import {closeSync, constants, fstatSync, openSync, readdirSync, readFileSync, type Stats, statSync} from 'node:fs';
import {mkdir, rm} from 'node:fs/promises';
import path from 'node:path';
import {CONFIG_FILE_BYTES_MAX} from '#src/config/document.ts';
import type {SavedCustomer} from '#src/config/restore.ts';
import {hasCode, replaceFile, STATE_FOLDER_MODE, syncFolder} from '#src/control/state-folder.ts';

const FORMAT = 'torwart last good 1';
const HEADER = new RegExp(`^# ${FORMAT} (?<digest>[0-9a-f]{64}) (?<file>"[^\\n]*")\\n`);
const HEADER_BYTES_MAX = 32 * 1024;
const FILE_NAME = /^(?<name>[a-z0-9-]{1,63})\.yaml$/;
const WRITABLE_BY_OTHERS = 0o022;

export interface LastGoodVersions {
  readonly versions: readonly SavedCustomer[];
  readonly refused: readonly {readonly file: string; readonly reason: string}[];
}

export class LastGoodFolder {
  readonly #folder: string;

  constructor(stateFolder: string) {
    this.#folder = path.join(stateFolder, 'customers');
  }

  /** Reads and changes nothing else: another daemon may be at work here. Throws where the folder cannot be read, or is not safe. */
  read(): LastGoodVersions {
    const versions: SavedCustomer[] = [], refused: {file: string; reason: string}[] = [];
    for (const base of this.#list()) {
      const file = path.join(this.#folder, base);
      const name = FILE_NAME.exec(base)?.groups?.['name'];
      if (name === undefined) continue;
      try {
        versions.push(parseVersion(name, readSafely(file)));
      } catch (error) {
        refused.push({file, reason: error instanceof Error ? error.message : String(error)});
      }
    }
    return {versions, refused};
  }

  async prepare(): Promise<void> {
    await mkdir(this.#folder, {recursive: true, mode: STATE_FOLDER_MODE});
    assertOwn(statSync(this.#folder));
  }

  async write({name, file, text}: SavedCustomer): Promise<void> {
    await replaceFile(this.#fileOf(name), `# ${FORMAT} ${digestOf(file, text)} ${JSON.stringify(file)}\n${text}`);
  }

  async remove(name: string): Promise<void> {
    await rm(this.#fileOf(name), {force: true});
  }

  async sync(): Promise<void> {
    await syncFolder(this.#folder);
  }

  #fileOf(name: string): string {
    return path.join(this.#folder, `${name}.yaml`);
  }

  #list(): readonly string[] {
    try {
      assertOwn(statSync(this.#folder));
      return readdirSync(this.#folder).sort();
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return [];
      throw error;
    }
  }
}

function readSafely(file: string): string {
  const descriptor = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) throw new Error('it is not a regular file');
    assertOwn(stat);
    if (stat.size > CONFIG_FILE_BYTES_MAX + HEADER_BYTES_MAX) throw new Error(`${stat.size} bytes are more than any customer file has`);
    return new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(readFileSync(descriptor));
  } finally {
    closeSync(descriptor);
  }
}

/** Whoever could write here could say what is served. */
function assertOwn({uid, mode}: Stats): void {
  if (uid !== 0 && uid !== process.geteuid?.()) throw new Error(`it belongs to the user ${uid}`);
  if ((mode & WRITABLE_BY_OTHERS) !== 0) throw new Error('others than its owner may write to it');
}

function parseVersion(name: string, content: string): SavedCustomer {
  const header = HEADER.exec(content);
  const {digest, file: quoted = 'null'} = header?.groups ?? {};
  const text = content.slice(header?.[0].length ?? 0);
  const file: unknown = JSON.parse(quoted);
  if (typeof file !== 'string') throw new Error('its first line is not what was written');
  if (digest !== digestOf(file, text)) throw new Error('it is not what was written');
  return {name, file, text};
}

/** Shows files that were cut or changed by mistake. It is no signature: whoever is this user can make it. */
function digestOf(file: string, text: string): string {
  return createHash('sha256').update(`${file}\0${text}`).digest('hex');
}
