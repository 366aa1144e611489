import { expect, test } from 'vitest';
import { permissionsTable, readDocument } from './permissions-table.ts';

test('docs/OPERATIONS.md says what every role may do: `npm run permissions` writes it', () => {
  const [, table] = readDocument();
  expect(table).toBe(permissionsTable());
});
