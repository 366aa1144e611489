/** Where those who hear an alarm read on: docs/OPERATIONS.md, as a page of the web. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Node } from 'constructs';
import { ConfigError } from './config.ts';
import { text } from './options.ts';

/** Where no page is known: the file's place in Lakewright's sources. */
export const FILE = 'docs/OPERATIONS.md';

/** The page that alarms link to: `operations-url`, or the file in the repository that these sources were cloned from. */
export function operationsPage(node: Node): string {
  const given = text(node, 'operations-url');
  if (given !== undefined && !/^https?:\/\/[^\s#]+$/.test(given)) {
    throw new ConfigError(`context operations-url: ${JSON.stringify(given)} is not the URL of a page, without a #section`);
  }
  return given ?? cloned() ?? FILE;
}

/** The file's page where these sources are a clone. As a package they are not, though they may lie in somebody's repository. */
function cloned(): string | undefined {
  try {
    const sources = fileURLToPath(new URL('../..', import.meta.url));
    const git = (...args: string[]) => execFileSync('git', ['-C', sources, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    const path = git('ls-files', '--full-name', '--error-unmatch', FILE);
    return pageOf(git('remote', 'get-url', 'origin'), path);
  } catch {
    // No git, no clone, or one of no remote.
    return undefined;
  }
}

/**
 * A file's page, where the remote's host is GitHub or GitLab, or one of a company: of others, the addresses are not known. What a
 * remote says of a user or a password is left out.
 */
export function pageOf(remote: string, path: string): string | undefined {
  const [, host, repository] =
    /^(?:https|ssh|git):\/\/(?:[^@/]*@)?([^/:]+\.[^/:]+)(?::\d+)?\/(.+?)(?:\.git)?\/?$/.exec(remote) ??
    /^(?:[^@/:]+@)([^/:]+\.[^/:]+):(.+?)(?:\.git)?\/?$/.exec(remote) ??
    [];
  const [, kind] = /(?:^|\.|-)(github|gitlab)(?:$|\.|-)/.exec(host ?? '') ?? [];
  const shown = kind === 'gitlab' ? '-/blob' : 'blob';
  return kind === undefined ? undefined : `https://${host}/${repository}/${shown}/HEAD/${path}`;
}
