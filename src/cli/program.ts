/** The command line: argv in, exit code out. */
import {Command, CommanderError, Option} from 'commander';
import {addBanCommands} from '#src/cli/ban-commands.ts';
import {VERSION} from '#src/cli/version.ts';

const EXIT_USAGE = 2;

export async function runProgram(args: readonly string[]): Promise<number> {
  const {promise: exitCode, resolve} = Promise.withResolvers<number>();
  const program = new Command('torwart')
    .description('Hardened reverse proxy and load balancer: every customer in a network of its own.')
    .version(VERSION)
    .helpCommand(false)
    .exitOverride();
  const configOption = ['-c, --config <file>', 'the node file, for example config/torwart.yaml'] as const;
  // Each command loads only what it needs: a daemon in production has no certificate maker in its memory.
  program.command('run').description('serve; SIGHUP reloads, SIGUSR1 reopens the logs, SIGTERM and SIGINT drain')
    .requiredOption(...configOption).action(async ({config}: {config: string}) => {
      const {runDaemon} = await import('#src/cli/run.ts');
      resolve(await runDaemon({configFile: config}));
    });
  program.command('check').description('check the configuration: exit code 0, or 1 with every problem')
    .requiredOption(...configOption).action(async ({config}: {config: string}) => {
      const {runCheck} = await import('#src/cli/check.ts');
      resolve(await runCheck(config, process.stdout, process.stderr));
    });
  program.command('firewall').description('print what the daemon may connect to as a ruleset for the kernel, for `nft -f -`')
    .requiredOption(...configOption)
    .addOption(new Option('--format <format>', 'the form of the ruleset').choices(['nftables']).default('nftables'))
    .option('--user <user>', 'name or id of the user that runs the daemon', 'torwart')
    .option('--previous <file>', 'the ruleset that is loaded: broken customers keep what it permits them')
    .action(async ({config, user, previous}: {config: string; user: string; previous?: string}) => {
      const {runFirewall} = await import('#src/cli/firewall.ts');
      resolve(await runFirewall({configFile: config, user, previousFile: previous ?? null}, process.stdout, process.stderr));
    });
  addBanCommands(program, configOption, resolve);
  program.command('password').description('read a password from standard input and print its hash, for users of basic auth')
    .action(async () => {
      const {runPassword} = await import('#src/cli/password.ts');
      resolve(await runPassword(process.stdin, process.stdout, process.stderr));
    });
  program.command('demo').description('serve two demo customers on loopback, with certificates made for the purpose')
    .action(async () => {
      const {runDemo} = await import('#src/cli/demo.ts');
      resolve(await runDemo());
    });
  try {
    await program.parseAsync(args, {from: 'user'});
  } catch (error) {
    // Commander has already said what is wrong; it ends help and version the same way, with exit code 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
    throw error;
  }
  return exitCode;
}
