import {runProgram} from '#src/cli/program.ts';

// Explicitly, so that nothing that is still open can keep a finished command alive.
try {
  process.exit(await runProgram(process.argv.slice(2)));
} catch (error) {
  process.stderr.write(`torwart: ${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
}
