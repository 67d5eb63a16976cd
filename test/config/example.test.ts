/** The example in `config/` is valid as it stands, with certificates like those that the demo makes. */
import assert from 'node:assert/strict';
import path from 'node:path';
import {test} from 'node:test';
import type {FileSource} from '#src/config/file-source.ts';
import {loadConfig} from '#src/config/load.ts';
import {formatProblem} from '#src/config/problem.ts';
import {fileSource} from '#src/control/file-source.ts';
import {makeCertificate} from '#test/config/certificates.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');

test('the example loads without a problem or a warning', async () => {
  const made = new Map<string, string>();
  for (const [name, hosts] of [['acme', ['shop.acme.localhost', '*.shop.acme.localhost']], ['globex', ['www.globex.localhost']]] as const) {
    const {cert, key} = await makeCertificate(hosts);
    made.set(path.join(ROOT, 'certs', `${name}.pem`), cert).set(path.join(ROOT, 'certs', `${name}.key`), key);
  }
  const source: FileSource = {
    ...fileSource,
    readText: async (file, bytesMax) => {
      const text = made.get(file);
      return text === undefined ? fileSource.readText(file, bytesMax) : {ok: true, text, stamp: null};
    },
  };
  const result = await loadConfig(path.join(ROOT, 'config/torwart.yaml'), source, {machine: {cores: 2, memoryBytes: 2 ** 30}, nowMs: Date.now()});
  assert.deepEqual([...result.problems, ...result.warnings].map(formatProblem), []);
  assert.deepEqual(result.snapshot?.customers.map(({name}) => name), ['acme', 'globex']);
  assert.equal(result.snapshot.node.log.access, path.join(ROOT, 'run/access.log'));
});
