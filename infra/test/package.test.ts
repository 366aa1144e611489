/** The package as somebody's own CDK app uses it: made by `npm pack`, typed, with nothing of the repository. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TWO_JOBS } from './support.ts';

const infra = new URL('..', import.meta.url).pathname;
const app = mkdtempSync(join(tmpdir(), 'lakewright-app-'));
afterAll(() => rmSync(app, { recursive: true, force: true }));

const APP = `
import { App, Stack } from 'aws-cdk-lib';
import { ConfigError, Lakewright, type LakewrightOptions } from 'lakewright-infra';

const options: LakewrightOptions = {
  prebuilt: process.argv[2]!,
  createBuckets: ['acme-lake'],
  notifications: { 'acme-landing': 'eventbridge' },
  memory: 1_024,
  tags: { team: 'lake' },
  bucketOwners: { 'acme-landing': '444455556666' },
};
const app = new App({ outdir: 'cdk.out' });
const stack = new Stack(app, 'Mine');
try {
  new Lakewright(stack, 'Lake', { config: 'lakewright.toml', options });
  app.synth();
} catch (error) {
  console.log(error instanceof ConfigError ? error.message : error);
}
`;

beforeAll(() => {
  execFileSync('npm', ['pack', '--pack-destination', app, '--silent'], { cwd: infra });
  const own = join(app, 'node_modules/lakewright-infra');
  mkdirSync(own, { recursive: true });
  execFileSync('tar', ['-xzf', join(app, 'lakewright-infra-0.1.0.tgz'), '-C', own, '--strip-components=1']);
  // What an installation would bring along.
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(own, 'package.json'), 'utf8'));
  for (const name of [...Object.keys({ ...dependencies, ...peerDependencies }), '@types/node']) {
    const place = join(app, 'node_modules', name);
    mkdirSync(dirname(place), { recursive: true });
    symlinkSync(join(infra, 'node_modules', name), place);
  }
  mkdirSync(join(app, 'zips/rekey'), { recursive: true });
  writeFileSync(join(app, 'zips/rekey/bootstrap.zip'), '');
  writeFileSync(join(app, 'lakewright.toml'), TWO_JOBS);
  writeFileSync(join(app, 'package.json'), '{"type": "module"}');
  writeFileSync(join(app, 'app.ts'), APP);
});

test('its types are those of the construct', () => {
  const check = (file: string) =>
    spawnSync(join(infra, 'node_modules/.bin/tsc'), ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--target', 'es2023', '--types', 'node', file], {
      cwd: app,
      encoding: 'utf8',
    });
  expect(check('app.ts').stdout).toBe('');
  writeFileSync(join(app, 'wrong.ts'), APP.replace('memory: 1_024', "memory: '1GiB'"));
  expect(check('wrong.ts').stdout).toMatch(/Type 'string' is not assignable to type 'number'/);
});

test('a stack of one\'s own has everything that the configuration needs', () => {
  const run = (...args: string[]) => spawnSync(join(infra, 'node_modules/.bin/tsx'), ['app.ts', ...args], { cwd: app, encoding: 'utf8' });
  const { stdout, stderr, status } = run('zips');
  expect([stdout, status], stderr).toEqual(['', 0]);
  const { Resources } = JSON.parse(readFileSync(join(app, 'cdk.out/Mine.template.json'), 'utf8'));
  const all = Object.values<any>(Resources);
  const of = (type: string) => all.filter(({ Type }) => Type === type).map(({ Properties }) => Properties);
  expect(of('AWS::Lambda::Function').map(({ FunctionName, MemorySize }) => [FunctionName, MemorySize])).toEqual([['rekey', 1_024]]);
  expect(of('AWS::S3::Bucket').map(({ BucketName }) => BucketName)).toEqual(['acme-lake']);
  expect(of('AWS::Events::Rule')).toHaveLength(2);
  expect(of('AWS::SQS::Queue')).toHaveLength(6);
  for (const { Tags } of of('AWS::SQS::Queue')) {
    expect(Tags).toContainEqual({ Key: 'team', Value: 'lake' });
  }
  expect(run('nowhere').stdout).toMatch(/nowhere\/rekey\/bootstrap\.zip does not exist/);
});
