/** The rules of the functions, applied by the functions' own checker: `cargo xtask check`. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { ConfigError } from './config.ts';

/** A program that takes a file, says its mistakes, and ends with 0 where there are none and 1 where there are. */
export interface Checker {
  readonly program: string;
  readonly args: readonly string[];
}

const root = resolve(import.meta.dirname, '../..');
const XTASK: Checker = { program: 'cargo', args: ['xtask', 'check'] };

/**
 * Refuses a configuration that the functions would refuse when they start. `checked` is a file that was checked already.
 * Without cargo, which functions that are built elsewhere do not need, the functions alone apply all rules.
 */
export function checkConfig(file: string, checked = process.env['LAKEWRIGHT_CHECKED'], checker = XTASK): void {
  // A file that does not exist is refused where it is read.
  if (file === checked || !existsSync(file)) {
    return;
  }
  const { error, status, stdout, stderr } = spawnSync(checker.program, [...checker.args, file], {
    cwd: root,
    encoding: 'utf8',
  });
  if (error && (error as NodeJS.ErrnoException).code === 'ENOENT') {
    console.error(`note: ${checker.program} is not on the PATH, so only a part of the rules is applied to ${file} here`);
    return;
  }
  if (status !== 0) {
    throw new ConfigError([stdout, stderr].map((text) => text?.trim()).filter(Boolean).join('\n') || String(error));
  }
}
