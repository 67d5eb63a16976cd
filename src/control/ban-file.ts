/** The bans in the state folder. A crash at any moment leaves the list of before or the list of after, never a part. */
import {mkdir, readFile, rename, stat} from 'node:fs/promises';
import path from 'node:path';
import {z} from 'zod';
import {formatCidr, parseCidr} from '#src/core/ip.ts';
import {LIMITS} from '#src/core/limits.ts';
import {isReason, isSource, type Ban} from '#src/control/ban-book.ts';
import {hasCode, replaceFile, STATE_FOLDER_MODE, syncFolder} from '#src/control/state-folder.ts';

const FORMAT = 1;
const END_MS_MAX = 2 ** 32 * 1000;

const time = z.number().int().min(0).max(END_MS_MAX);

export const banSchema: z.ZodType<Ban> = z.strictObject({
  customer: z.string().min(1).max(63).nullable(),
  network: z.string().max(64).refine((text) => {
    const cidr = parseCidr(text);
    return cidr !== null && formatCidr(cidr) === text;
  }, 'not a canonical network'),
  reason: z.string().refine(isReason, 'not a reason'),
  source: z.string().refine(isSource, 'not a source'),
  sinceMs: time,
  untilMs: time,
});

const fileSchema = z.strictObject({format: z.literal(FORMAT), bans: z.array(banSchema).max(LIMITS.bansMax)});

/** `broken`: what was wrong, and where the file is now. */
export type LoadedBans = {readonly bans: readonly Ban[]; readonly broken: null} | {readonly bans: readonly []; readonly broken: string};

export class BanFile {
  readonly #file: string;

  constructor(stateFolder: string) {
    this.#file = path.join(stateFolder, 'bans.json');
  }

  /** Makes the folder where it is missing. A file that is no list of bans is set aside. Rejects where the folder cannot be used. */
  async load(): Promise<LoadedBans> {
    await mkdir(path.dirname(this.#file), {recursive: true, mode: STATE_FOLDER_MODE});
    try {
      return {bans: await this.#read(), broken: null};
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return {bans: [], broken: null};
      const aside = `${this.#file}.broken`;
      await rename(this.#file, aside);
      return {bans: [], broken: `${describe(error)}; set aside as ${aside}`};
    }
  }

  async save(bans: readonly Ban[]): Promise<void> {
    // One ban a line, for people with grep.
    await replaceFile(this.#file, `{"format":${FORMAT},"bans":[\n${bans.map((ban) => JSON.stringify(ban)).join(',\n')}\n]}\n`);
    await syncFolder(path.dirname(this.#file));
  }

  async #read(): Promise<readonly Ban[]> {
    const {size} = await stat(this.#file);
    if (size > LIMITS.banFileBytesMax) throw new Error(`${size} bytes are more than any list of bans has`);
    return fileSchema.parse(JSON.parse(await readFile(this.#file, 'utf8'))).bans;
  }
}

function describe(error: unknown): string {
  if (error instanceof z.ZodError) return error.issues.slice(0, 1).map(({path: place, message}) => `${place.join('.')}: ${message}`).join();
  return error instanceof Error ? error.message : String(error);
}
