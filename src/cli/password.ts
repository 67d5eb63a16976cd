/** `torwart password`: a password in, its hash out. */
import {randomBytes, scrypt} from 'node:crypto';
import {promisify} from 'node:util';
import {text} from 'node:stream/consumers';
import {formatScryptHash} from '#src/config/password-hash.ts';

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;
const PARAMETERS = {cost: 2 ** 15, blockSize: 8, parallelization: 1};
const SALT_BYTES = 16;
const KEY_BYTES = 32;
const MEMORY_BYTES_MAX = 2 * 128 * PARAMETERS.cost * PARAMETERS.blockSize;

const derive = promisify<string, Buffer, number, {cost: number; blockSize: number; parallelization: number; maxmem: number}, Buffer>(scrypt);

interface Input extends NodeJS.ReadableStream {
  readonly isTTY?: boolean;
}

interface Output {
  write(text: string): unknown;
}

/** Not from a terminal, which would show it, and not as an argument, which every user of the machine could see. */
export async function runPassword(input: Input, output: Output, errors: Output): Promise<number> {
  if (input.isTTY === true) {
    errors.write('The password comes from standard input: read -rs P; printf %s "$P" | torwart password\n');
    return EXIT_USAGE;
  }
  const password = (await text(input)).replace(/\r?\n$/, '');
  if (password === '' || /\p{Cc}/u.test(password)) {
    errors.write('A password is one line without control characters.\n');
    return EXIT_FAILURE;
  }
  const salt = randomBytes(SALT_BYTES);
  const key = await derive(password, salt, KEY_BYTES, {...PARAMETERS, maxmem: MEMORY_BYTES_MAX});
  output.write(`${formatScryptHash({...PARAMETERS, salt, key})}\n`);
  return 0;
}
