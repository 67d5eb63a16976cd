/** Ways to prove who one is → snapshots, with the users of the files that they name. */
import type {AuthInput, BasicInput, ForwardInput} from '#src/config/auth-schema.ts';
import type {Report} from '#src/config/report.ts';
import type {AuthSnapshot, BasicAuthSnapshot, ForwardAuthSnapshot} from '#src/config/snapshot.ts';
import type {UserFileResult} from '#src/config/user-file.ts';

/** @param userFiles what was read for each way that names a file, by the name of the way */
export function compileAuth(input: AuthInput, userFiles: ReadonlyMap<string, UserFileResult>, report: Report): readonly AuthSnapshot[] {
  return Object.entries(input).flatMap(([name, {basic, forward}]) => [
    ...(basic === undefined ? [] : [compileBasic(name, basic, userFiles.get(name), report)]),
    ...(forward === undefined ? [] : [compileForward(name, forward)]),
  ]);
}

function compileForward(name: string, {pool, path, timeout, send, identity}: ForwardInput): ForwardAuthSnapshot {
  return {type: 'forward', name, pool, path, timeoutMs: timeout, sentFields: send, identityFields: identity};
}

function compileBasic(name: string, basic: BasicInput, file: UserFileResult | undefined, report: Report): BasicAuthSnapshot {
  const path = ['auth', name, 'basic', 'users_file'];
  const users = new Map(Object.entries(basic.users));
  if (file?.ok === false) report.problem(path, file.complaint);
  for (const [user, hash] of file?.ok === true ? file.users : []) {
    if (users.has(user)) report.problem(path, {found: `the user ${user}, who is also under users`, allowed: 'each user in one place', remedy: 'remove one of the two'});
    users.set(user, hash);
  }
  return {type: 'basic', name, realm: basic.realm, users: [...users], isAuthorizationPassed: basic.pass_authorization};
}
