/**
 * The table of permissions in docs/OPERATIONS.md, made from the template of all examples: `npm run permissions` writes it, and
 * permissions-table.test.ts compares it.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { permissions, type Permission } from './permissions.ts';
import { template, TWO_COMPACTIONS, TWO_REPARTITIONS, TWO_SPLITS } from './support.ts';

const DOCUMENT = new URL('../../docs/OPERATIONS.md', import.meta.url);
const [BEGIN, END] = ['<!-- permissions: written by `npm run permissions` -->\n', '<!-- end of permissions -->\n'];

/** What the roles of all examples may do, a line for each statement. */
export function permissionsTable(): string {
  const of = template([TWO_COMPACTIONS, TWO_SPLITS, TWO_REPARTITIONS].join('\n'));
  const rows = permissions(of).flatMap((permission) => permission.roles.map((role) => row(role, permission)));
  return ['| role | may | on | only if |', '|---|---|---|---|', ...[...new Set(rows)].sort(), ''].join('\n');
}

function row(role: string, { effect, actions, resources, conditions }: Permission): string {
  const code = (texts: readonly string[]) => [...texts].sort().map((text) => `\`${plain(text)}\``).join(', ');
  const only = Object.entries(conditions).flatMap(([operator, keys]) =>
    Object.entries(keys).map(([key, value]) => `${key} ${operator.replace(/^ForAnyValue:/, 'has one of ')} ${value}`),
  );
  const name = role.replace(/[0-9A-F]{8}$/, '');
  return `| ${name} | ${effect === 'Deny' ? '**not** ' : ''}${code(actions)} | ${code(resources)} | ${code(only)} |`;
}

/** Without what differs between accounts, regions and deployments. */
function plain(text: string): string {
  return text
    .replaceAll('eu-central-1', 'REGION')
    .replaceAll('111122223333', 'ACCOUNT')
    .replaceAll(/[0-9a-f]{64}/g, 'HASH')
    .replaceAll(/(?<=[A-Za-z])[0-9A-F]{8}(?=[:/]|$)/g, '');
}

/** The document before the table, the table and the document after it. */
export function readDocument(): [string, string, string] {
  const text = readFileSync(DOCUMENT, 'utf8');
  const [before, rest] = text.split(BEGIN);
  const [table, after] = rest?.split(END) ?? [];
  if (before === undefined || table === undefined || after === undefined) {
    throw new Error(`${fileURLToPath(DOCUMENT)} has no place for the table between ${BEGIN.trim()} and ${END.trim()}`);
  }
  return [before, table, after];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [before, , after] = readDocument();
  writeFileSync(DOCUMENT, before + BEGIN + permissionsTable() + END + after);
}
