import validate from 'asl-validator';
import { describe, expect, test } from 'vitest';
import {
  definitionOf,
  evaluate,
  policiesOf,
  resources,
  statements,
  template,
  TWO_REPARTITIONS,
} from './support.ts';

const stack = template(TWO_REPARTITIONS);
const jobs = ['ev', 'products'];
const definition = (job: string) => definitionOf(stack, `Repartition${job}MachineStateMachine`);

test('the functions have the memory and the time that the context says', () => {
  const names = ['repartition-plan', 'repartition-write', 'repartition-commit'];
  for (const FunctionName of names) {
    stack.hasResourceProperties('AWS::Lambda::Function', { FunctionName, MemorySize: 1024, Timeout: 900 });
  }
  const sized = template(TWO_REPARTITIONS, { 'repartition-memory': 2048, 'repartition-timeout': 300 });
  for (const FunctionName of names) {
    sized.hasResourceProperties('AWS::Lambda::Function', { FunctionName, MemorySize: 2048, Timeout: 300 });
  }
});

describe('the roles', () => {
  const s3 = 'arn:<AWS::Partition>:s3:::';
  /** Where both jobs say what they read, so that they have the same functions. */
  const located = template(TWO_REPARTITIONS, {
    'table-locations': 'glue_db.electric_vehicle_population_data_csv=s3://acme-landing/ev/',
  });
  const said = (role: string, actions: RegExp, of = located) =>
    statements(policiesOf(of, role))
      .filter(({ what }) => actions.test(what))
      .map(({ effect, what }) => (effect === 'Deny' ? `not ${what}` : what))
      .sort();

  test('let what a commit replaces be deleted, by the commit or by the plan that finishes it, and nothing in a ledger', () => {
    for (const role of ['RepartitionCommitRole', 'RepartitionPlanRole']) {
      expect(said(role, /^s3:Delete/)).toEqual(
        jobs
          .flatMap((job) => [
            `s3:DeleteObject ${s3}acme-lake/${job}/*`,
            ...['DeleteObject', 'DeleteObjectVersion'].map((action) => `not s3:${action} ${s3}acme-lake/${job}/_lakewright/*`),
          ])
          .sort(),
      );
    }
    expect(said('RepartitionWriteRole', /^s3:Delete/)).toEqual(
      jobs.map((job) => `s3:DeleteObject ${s3}acme-lake/${job}/_repartitioning/${job}/*`).sort(),
    );
  });

  test('let repartition-plan write its ledger, and no data', () => {
    expect(said('RepartitionPlanRole', /^s3:Put/)).toEqual(
      jobs
        .flatMap((job) => [`_lakewright/repartition/${job}/*`, '*_SUCCESS'].map((key) => `s3:PutObject ${s3}acme-lake/${job}/${key}`))
        .sort(),
    );
    expect(said('RepartitionWriteRole', /^s3:Put/)).toEqual(jobs.map((job) => `s3:PutObject ${s3}acme-lake/${job}/*`).sort());
  });

  test('let the source be read where it lies, or anywhere in the account where that is not known', () => {
    const anywhere = `s3:GetObject ${s3}*`;
    for (const name of ['RepartitionPlan', 'RepartitionWrite']) {
      const found = said(`${name}Role`, /^s3:GetObject/);
      expect(found).toEqual(expect.arrayContaining(['ev', 'products'].map((job) => `s3:GetObject ${s3}acme-landing/${job}/*`)));
      expect(found).not.toContain(anywhere);
      // By functions of their own.
      expect(said(`${name}AnywhereRole`, /^s3:GetObject/, stack)).toContain(anywhere);
      expect(said(`${name}Role`, /^s3:GetObject/, stack)).not.toContain(anywhere);
    }
  });

  test('let the catalog be changed only where a job keeps a table', () => {
    const actions = [
      ...['GetTable', 'BatchGetPartition', 'BatchCreatePartition'],
      ...['CreateTable', 'UpdateTable', 'BatchUpdatePartition'],
    ];
    const of = (actions: string[]) =>
      actions.flatMap((action) => ['catalog', 'database/shop', 'table/shop/products'].map((of) => `glue:${action} ${of}`)).sort();
    const products = (role: string) =>
      said(role, /^glue:/)
        .map((what) => what.replace(/arn:\S+>:/, ''))
        .filter((what) => !what.includes('glue_db') && !what.includes('electric_vehicle'));
    expect(products('RepartitionCommitRole')).toEqual(of(actions));
    expect(new Set(products('RepartitionPlanRole'))).toEqual(new Set(of([...actions, 'GetPartitions'])));
    expect(said('RepartitionWriteRole', /^glue:/)).toEqual([]);
    // A source's partitions are read, and nothing of it is changed.
    const source = ['GetTable', 'GetPartitions', 'BatchGetPartition'].flatMap((action) =>
      ['catalog', 'database/glue_db', 'table/glue_db/electric_vehicle_population_data_csv'].map((at) => `glue:${action} ${at}`),
    );
    const anywhere = said('RepartitionPlanAnywhereRole', /^glue:/, stack).map((what) => what.replace(/arn:\S+?:(?=catalog|database|table)/, ''));
    expect(anywhere).toEqual(source.sort());
    const unkept = template(TWO_REPARTITIONS.replace('manage_table = true', ''));
    expect(said('RepartitionCommitRole', /^glue:(Create|Update)Table/, unkept)).toEqual([]);
  });
});

describe('the state machine', () => {
  const { States: states, StartAt } = definition('ev');
  const chosen = async (state: string, input: object): Promise<string> => {
    for (const { Condition, Next } of states[state].Choices) {
      if (await evaluate(Condition, { input })) {
        return Next;
      }
    }
    return states[state].Default;
  };
  const PLAN = 's3://acme-lake/ev/_lakewright/repartition/ev/0000000000/plan';
  const answer = (more: object) => ({ job: 'repartition', name: 'ev', plan: PLAN, prepare: [], tasks: [], ...more });
  const tasks = (count: number) => Array.from({ length: count }, (_, task) => ({ plan: PLAN, task }));
  const list = { bucket: 'acme-lake', key: 'ev/_lakewright/repartition/ev/0000000000/tasks' };

  test.each(jobs)('of %s is valid Amazon States Language', (job) => {
    const { isValid, errorsText } = validate(definition(job), { checkPaths: true });
    expect(errorsText()).toBe('');
    expect(isValid).toBe(true);
  });

  test('is in JSONata except for the maps over lists', () => {
    const languages = (states: Record<string, any>): string[] =>
      Object.entries(states).flatMap(([name, { QueryLanguage = 'JSONPath', ItemProcessor }]) => [
        `${name}: ${QueryLanguage}`,
        ...(ItemProcessor ? languages(ItemProcessor.States) : []),
      ]);
    expect(languages(states).filter((said) => !said.endsWith(': JSONata')).sort()).toEqual([
      'Prepare list: JSONPath',
      'Write list: JSONPath',
    ]);
  });

  test('plans its own job', async () => {
    expect(StartAt).toBe('Plan');
    expect(await evaluate(states['Plan'].Arguments.Payload, { input: { name: 'products' } })).toEqual({ name: 'ev' });
  });

  test.each([
    ['one task', answer({ tasks: tasks(1) }), ['Write?', 'Write all']],
    ['to be prepared', answer({ prepare: [{ plan: PLAN, prepare: 0 }], tasks: tasks(2) }), ['Prepare all', 'Write all']],
    ['long lists', answer({ prepare_list: list, tasks_list: list }), ['Prepare list', 'Write list']],
    ['no list', answer({ prepare_list: null, tasks_list: null }), ['Write?', 'Commit']],
    ['nothing to read', answer({}), ['Write?', 'Commit']],
  ])('goes on by the plan: %s', async (_, input, [prepare, write]) => {
    expect(await chosen('Prepare?', input)).toBe(prepare);
    expect(await chosen('Write?', input)).toBe(write);
  });

  test.each([
    ['Prepare', 'prepare', 'Write?'],
    ['Write', 'tasks', 'Commit'],
  ])('%s is called for each entry of its list', async (title, field, next) => {
    const input = answer({ [field]: tasks(1), [`${field}_list`]: list });
    const [inline, distributed] = [states[`${title} all`], states[`${title} list`]];
    expect(await evaluate(inline.Items, { input })).toEqual(tasks(1));
    expect(distributed.ItemProcessor.ProcessorConfig).toEqual({ Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' });
    expect(distributed.ItemReader.Parameters).toEqual({ 'Bucket.$': `$.${field}_list.bucket`, 'Key.$': `$.${field}_list.key` });
    for (const [map, name] of [
      [inline, title],
      [distributed, `${title} of list`],
    ]) {
      const { Arguments, Output, Retry, TimeoutSeconds } = map.ItemProcessor.States[name];
      expect(await evaluate(Arguments.Payload, { input: tasks(1)[0]! })).toEqual(tasks(1)[0]);
      expect(await evaluate(Output, { result: { Payload: { rows: 1 } } })).toEqual({});
      expect(TimeoutSeconds).toBeGreaterThan(900);
      const retried = Retry.flatMap(({ ErrorEquals }: { ErrorEquals: string[] }) => ErrorEquals);
      expect(retried).toEqual(expect.arrayContaining(['Lakewright.StoreFailed', 'Lakewright.Deadline']));
      expect(retried).not.toContain('Lakewright.AccessDenied');
      expect(map.Next).toBe(next);
    }
    expect(await evaluate(inline.Output, { input, result: [{}] })).toEqual(input);
    expect(distributed.ResultPath).toBeNull();
  });

  test('commits, and ends with its answer', async () => {
    const { Arguments, Output, End } = states['Commit'];
    expect(await evaluate(Arguments.Payload, { input: answer({}) })).toEqual({ plan: PLAN });
    const committed = { job: 'repartition', status: 'committed', rows: 3 };
    expect(await evaluate(Output, { result: { Payload: committed } })).toEqual(committed);
    expect(End).toBe(true);
  });
});

test('alarms are raised for runs that fail', () => {
  const raised = resources(stack, 'AWS::CloudWatch::Alarm')
    .map(([, { Properties }]) => Properties)
    .filter(({ Namespace }) => Namespace === 'AWS/States')
    .map(({ MetricName }) => MetricName);
  expect(raised.sort()).toEqual(['ExecutionsFailed', 'ExecutionsFailed', 'ExecutionsTimedOut', 'ExecutionsTimedOut']);
});

test('the outputs name the state machines, buckets and functions', () => {
  expect(Object.keys(stack.findOutputs('*')).sort()).toEqual(
    [
      ...jobs.flatMap((job) => ['StateMachineArn', 'TargetBucket', 'MachineRoleArn'].map((of) => `Repartition${job}${of}`)),
      ...['Plan', 'Write', 'Commit'].flatMap((name) =>
        ['', 'Anywhere'].flatMap((reach) => ['FunctionName', 'RoleArn'].map((of) => `Repartition${name}${reach}${of}`)),
      ),
    ].sort(),
  );
});
