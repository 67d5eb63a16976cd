import {randomInt} from 'node:crypto';
import {test} from 'node:test';
import * as fc from 'fast-check';

/**
 * A property test that says its seed and can be replayed by it: `TORWART_SEED=123 npx node --test FILE`. fast-check prints the
 * smallest counterexample that it finds.
 */
export function testProperty<Arguments>(name: string, property: fc.IProperty<Arguments>, runs = 200): void {
  test(name, (context) => {
    const seed = Number(process.env['TORWART_SEED'] ?? randomInt(2 ** 31));
    context.diagnostic(`seed ${seed}`);
    fc.assert(property, {seed, numRuns: runs});
  });
}

/** The same for a property that is asynchronous. */
export function testAsyncProperty<Arguments>(name: string, property: fc.IAsyncProperty<Arguments>, runs = 100): void {
  test(name, async (context) => {
    const seed = Number(process.env['TORWART_SEED'] ?? randomInt(2 ** 31));
    context.diagnostic(`seed ${seed}`);
    await fc.assert(property, {seed, numRuns: runs});
  });
}
