/** What has to be there before the CDK packs the functions: told in one line, not by a tool that fails later. */
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { constants, inflateRawSync } from 'node:zlib';
import { Architecture } from 'aws-cdk-lib/aws-lambda';
import { ConfigError } from './config.ts';

/** A folder's zip of a function, if it is one for the architecture. */
export function prebuiltZip(folder: string, functionName: string, architecture: Architecture): string {
  const zip = join(folder, functionName, 'bootstrap.zip');
  if (!existsSync(zip)) {
    throw new ConfigError(
      `context prebuilt: ${zip} does not exist: make it with \`cargo xtask package\` and name its folder of the architecture`,
    );
  }
  const built = architectureOf(zip);
  if (built !== undefined && built.name !== architecture.name) {
    throw new ConfigError(
      `context prebuilt: ${zip} is built for ${built.name}, and ${architecture.name} is to be deployed: ` +
        `name another folder, or say -c architecture=${built.name}`,
    );
  }
  return zip;
}

/** By the ELF header of the zip's first file; undefined if that is not a Linux program. */
function architectureOf(zip: string): Architecture | undefined {
  const head = beginning(zip);
  // https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.3.7
  if (head.length < 30 || head.readUInt32LE(0) !== 0x04034b50) {
    return undefined;
  }
  const data = head.subarray(30 + head.readUInt16LE(26) + head.readUInt16LE(28));
  const stored = head.readUInt16LE(8) === 0;
  const program = stored ? data : inflateRawSync(data, { finishFlush: constants.Z_SYNC_FLUSH });
  if (program.length < 20 || program.readUInt32BE(0) !== 0x7f454c46) {
    return undefined;
  }
  // e_machine: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
  const machines = new Map([
    [62, Architecture.X86_64],
    [183, Architecture.ARM_64],
  ]);
  return machines.get(program.readUInt16LE(18));
}

function beginning(file: string): Buffer {
  const descriptor = openSync(file, 'r');
  try {
    const buffer = Buffer.alloc(1 << 16);
    return buffer.subarray(0, readSync(descriptor, buffer));
  } finally {
    closeSync(descriptor);
  }
}

/** The functions are built from the repository only. */
export function requireSource(manifest: string): void {
  if (!existsSync(manifest)) {
    throw new ConfigError(
      "the package has no source of the functions: say where their zips are (prebuilt: 'lakewright/arm64'), which `cargo xtask package` makes",
    );
  }
}

/** cargo-lambda builds the functions that are not prebuilt. */
export function requireCargoLambda(path = process.env['PATH'] ?? ''): void {
  if (!path.split(delimiter).some((folder) => existsSync(join(folder, 'cargo-lambda')))) {
    throw new ConfigError(
      'cargo-lambda, which builds the functions, is not on the PATH: `pip install cargo-lambda`, or ' +
        'https://www.cargo-lambda.info/guide/installation.html. Or make them with `cargo xtask package`, and say ' +
        '-c prebuilt=../target/package/arm64',
    );
  }
}
