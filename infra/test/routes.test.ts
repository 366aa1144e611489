/** A rekey job whose records go to several targets and tables. */
import { expect, test } from 'vitest';
import { ConfigError, parseConfig } from '../lib/config.ts';
import { permissions } from './permissions.ts';
import { template } from './support.ts';

const ROUTED = `
[[rekey]]
name = "shop"
source = "s3://acme-landing/shop/"
timestamp = { column = "at" }
target = "s3://acme-lake/shop/"

[rekey.route]
column = "type"

[rekey.route.tables.order]
target = "s3://acme-lake/shop/orders/"
table = "shop.orders"

[rekey.route.tables."refund.created"]
target = "s3://acme-lake/refunds/"
table = "shop.refunds"
column = [{ name = "card", hash = { secret = "secretsmanager:lake/cards" } }]
`;

const COMPACTED = `${ROUTED}
[[compact]]
table = "shop.refunds"
`;

/** The resources on which a role may do something. */
function on(of: ReturnType<typeof template>, role: string, action: string): string[] {
  const allowed = permissions(of).filter(({ actions, roles }) => actions.includes(action) && roles.some((name) => name.startsWith(role)));
  return allowed.flatMap(({ resources }) => resources);
}

test('the role writes to each target, registers in each table, and reads the secrets of each', () => {
  const of = template(ROUTED);
  const written = on(of, 'RekeyRole', 's3:PutObject');
  expect(written.sort()).toEqual(['arn:aws:s3:::acme-lake/refunds/*', 'arn:aws:s3:::acme-lake/shop/*']);
  const registered = on(of, 'RekeyRole', 'glue:BatchCreatePartition').filter((resource) => resource.includes(':table/'));
  expect(registered.map((resource) => resource.split(':').at(-1)).sort()).toEqual(['table/shop/orders', 'table/shop/refunds']);
  expect(on(of, 'RekeyRole', 'secretsmanager:GetSecretValue').join()).toContain('secret:lake/cards-');
  expect(on(of, 'RekeyRole', 's3:DeleteObject')).toEqual(['arn:aws:s3:::acme-lake/shop/_lakewright/spool/*']);
});

test('the compaction of a target reads the commits of the job, and rekey writes where it moves partitions', () => {
  const of = template(COMPACTED);
  expect(on(of, 'CompactPlanRole', 's3:GetObject')).toContain('arn:aws:s3:::acme-lake/shop/_lakewright/commit/*');
  expect(on(of, 'RekeyRole', 's3:PutObject')).toContain('arn:aws:s3:::acme-lake/refunds.generations/*');
});

test('a target inside a source is refused', () => {
  const inside = ROUTED.replace('s3://acme-lake/refunds/', 's3://acme-landing/shop/refunds/');
  expect(() => parseConfig(inside)).toThrow(ConfigError);
  expect(() => parseConfig(inside)).toThrow('so its output would trigger it again');
});
