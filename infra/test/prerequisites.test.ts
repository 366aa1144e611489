import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { Architecture } from 'aws-cdk-lib/aws-lambda';
import { afterAll, expect, test } from 'vitest';
import { prebuiltZip, requireCargoLambda } from '../lib/prerequisites.ts';

const scratch = mkdtempSync(join(tmpdir(), 'lakewright-prerequisites-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** A folder with a zip of one function, whose program runs on `machine`. */
function folder(machine: number, stored = false): string {
  const program = Buffer.alloc(100_000, 'noise that does not end within the piece that is looked at ');
  Buffer.from('\x7fELF').copy(program);
  program.writeUInt16LE(machine, 18);
  const header = Buffer.alloc(30);
  header.writeUInt32LE(0x04034b50, 0);
  header.writeUInt16LE(stored ? 0 : 8, 8);
  header.writeUInt16LE('bootstrap'.length, 26);
  const made = mkdtempSync(join(scratch, 'zips-'));
  mkdirSync(join(made, 'rekey'));
  const data = stored ? program : deflateRawSync(program, { level: 0 });
  writeFileSync(join(made, 'rekey/bootstrap.zip'), Buffer.concat([header, Buffer.from('bootstrap'), data]));
  return made;
}

test.each([
  ['x86_64', 62, Architecture.X86_64, Architecture.ARM_64],
  ['arm64', 183, Architecture.ARM_64, Architecture.X86_64],
])('a zip for %s is taken for that only', (name, machine, own, other) => {
  for (const stored of [false, true]) {
    const made = folder(machine, stored);
    expect(prebuiltZip(made, 'rekey', own)).toBe(join(made, 'rekey/bootstrap.zip'));
    expect(() => prebuiltZip(made, 'rekey', other)).toThrow(
      new RegExp(`rekey/bootstrap\\.zip is built for ${name}, and ${other.name} is to be deployed`),
    );
  }
});

test('cargo-lambda is looked for before anything is built', () => {
  const bin = mkdtempSync(join(scratch, 'bin-'));
  expect(() => requireCargoLambda(bin)).toThrow(/cargo-lambda, which builds the functions, is not on the PATH/);
  writeFileSync(join(bin, 'cargo-lambda'), '');
  requireCargoLambda(`/nowhere:${bin}`);
});
