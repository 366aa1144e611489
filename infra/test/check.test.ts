import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { checkConfig } from '../lib/check.ts';

const A = fileURLToPath(import.meta.url);
const B = fileURLToPath(new URL('refusals.test.ts', import.meta.url));

const says = (text: string, status: number) => ({
  program: process.execPath,
  args: ['-e', `console.log(${JSON.stringify(text)} + process.argv[1]); process.exitCode = ${status}`],
});

test('what the checker says of a file is what synth says', () => {
  expect(() => checkConfig(A, undefined, says('line 4: Europe/Berln in ', 1))).toThrow(`line 4: Europe/Berln in ${A}`);
  checkConfig(A, undefined, says('', 0));
});

test('a file is not checked twice, and cannot be without a checker', () => {
  checkConfig(A, A, says('', 1));
  expect(() => checkConfig(B, A, says('', 1))).toThrow();
  checkConfig(A, undefined, { program: 'no-such-checker', args: [] });
});
