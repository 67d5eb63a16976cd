/** `npm run generate`: writes what is derived from the schemas. */
import {mkdir, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {generateFiles} from '#src/config/reference.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');

for (const [file, text] of generateFiles()) {
  const target = path.join(ROOT, file);
  await mkdir(path.dirname(target), {recursive: true});
  await writeFile(target, text);
}
