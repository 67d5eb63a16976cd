/** `npm run bench:publish`: brings what states numbers up to date with the results files. */
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {makePublishedFiles} from './harness/published-files.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

for (const [file, text] of makePublishedFiles(ROOT)) writeFileSync(join(ROOT, file), text);
