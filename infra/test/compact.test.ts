import validate from 'asl-validator';
import { describe, expect, test } from 'vitest';
import {
  definitionOf,
  evaluate,
  flat,
  policiesOf,
  resources,
  statements,
  template,
  the,
  TWO_COMPACTIONS,
} from './support.ts';

const stack = template(TWO_COMPACTIONS);
const TABLE = 'Compactanprbyeventtime';
const PREFIX = 'Compactarchive';
const machines = [`${TABLE}Machine`, `${PREFIX}Machine`];
const machineOf = (name: string) => `${name}StateMachine`;

test('the functions have the memory and the time that the context says', () => {
  const names = ['compact-plan', 'compact-merge', 'compact-publish'];
  for (const FunctionName of names) {
    stack.hasResourceProperties('AWS::Lambda::Function', { FunctionName, MemorySize: 512, Timeout: 900 });
  }
  const sized = template(TWO_COMPACTIONS, { 'compact-memory': 256, 'compact-timeout': '60' });
  for (const FunctionName of names) {
    sized.hasResourceProperties('AWS::Lambda::Function', { FunctionName, MemorySize: 256, Timeout: 60 });
  }
});

describe('the roles', () => {
  const s3 = 'arn:<AWS::Partition>:s3:::acme-lake/';
  const said = (role: string, actions: RegExp) =>
    statements(policiesOf(stack, role))
      .filter(({ what }) => actions.test(what))
      .map(({ effect, what }) => (effect === 'Deny' ? `not ${what}` : what))
      .sort();
  const glue = (actions: string[]) =>
    actions
      .flatMap((action) =>
        ['catalog', 'database/anpr', 'table/anpr/by_event_time'].map(
          (resource) => `glue:${action} arn:<AWS::Partition>:glue:<AWS::Region>:<AWS::AccountId>:${resource}`,
        ),
      )
      .sort();

  test('let compact-publish alone delete, and nothing in a ledger', () => {
    const old = ['DeleteObject', 'DeleteObjectVersion'];
    expect(said('CompactPublishRole', /^s3:Delete/)).toEqual(
      [
        ...['anpr/*', 'anpr.generations/*', 'archive/*'].map((prefix) => `s3:DeleteObject ${s3}${prefix}`),
        ...['anpr/_lakewright/*', 'archive/_lakewright/*'].flatMap((ledger) => old.map((action) => `not s3:${action} ${s3}${ledger}`)),
      ].sort(),
    );
    for (const role of ['CompactPlanRole', 'CompactMergeRole', 'RekeyRole']) {
      expect(said(role, /^s3:Delete/).filter((what) => !what.includes('_lakewright/spool/'))).toEqual([]);
    }
  });

  test('let each write where its files go', () => {
    const puts = (role: string) => said(role, /^s3:PutObject /);
    const ledger = ['anpr/_lakewright/partition/*', 'archive/_lakewright/partition/*'];
    const put = (prefixes: string[]) => prefixes.map((prefix) => `s3:PutObject ${s3}${prefix}`).sort();
    expect(puts('CompactPlanRole')).toEqual(
      put([...ledger, 'anpr/_lakewright/compact/*', 'archive/_lakewright/compact/*']),
    );
    // A merge only notes in the ledger that it failed for good.
    const failed = ledger.map((prefix) => `${prefix}/failed/*`);
    expect(puts('CompactMergeRole')).toEqual(put([...failed, 'anpr.generations/*', 'archive/*']));
    expect(puts('CompactPublishRole')).toEqual(put([...ledger, 'anpr.generations/*', 'archive/*']));
    // Rows go to the current directory of a partition.
    expect(puts('RekeyRole')).toEqual(put(['anpr/*', 'anpr.generations/*']));
  });

  test('let tags be copied with the files, whoever put them there', () => {
    const tagging = (role: string) => said(role, /Tagging /);
    const copies = (from: string[], to: string[]) =>
      [
        ...from.map((prefix) => `s3:GetObjectTagging ${s3}${prefix}`),
        ...to.map((prefix) => `s3:PutObjectTagging ${s3}${prefix}`),
      ].sort();
    expect(tagging('CompactPublishRole')).toEqual(
      copies(['anpr/*', 'anpr.generations/*', 'archive/*'], ['anpr.generations/*', 'archive/*']),
    );
    expect(tagging('RekeyRole')).toEqual(copies(['anpr/*', 'anpr.generations/*'], ['anpr.generations/*']));
    for (const role of ['CompactPlanRole', 'CompactMergeRole']) {
      expect(tagging(role)).toEqual([]);
    }
  });

  test('let compact-publish alone change the catalog', () => {
    expect(said('CompactPlanRole', /^glue:/)).toEqual(glue(['GetTable', 'GetPartitions']));
    expect(said('CompactMergeRole', /^glue:/)).toEqual([]);
    expect(said('CompactPublishRole', /^glue:/)).toEqual(glue(['BatchGetPartition', 'BatchUpdatePartition']));
  });

  test('let the state machine call the functions and read the lists of tasks', () => {
    const own = said(`${TABLE}MachineRole`, /^(lambda|s3):/);
    const functions = ['compact-plan', 'compact-merge', 'compact-publish'].map(
      (name) => resources(stack, 'AWS::Lambda::Function').find(([, { Properties }]) => Properties['FunctionName'] === name)![0],
    );
    expect(own).toEqual(
      [
        ...functions.flatMap((id) => [`lambda:InvokeFunction <${id}.Arn>`, `lambda:InvokeFunction <${id}.Arn>:*`]),
        `s3:GetObject ${s3}anpr/_lakewright/compact/*`,
      ].sort(),
    );
  });

  test('know where a table lies that no job here writes', () => {
    const of = template('[[compact]]\ntable = "shop.orders"', { 'table-locations': 'shop.orders=s3://shop-lake/orders/' });
    const deleted = statements(policiesOf(of, 'CompactPublishRole')).filter(
      ({ effect, what }) => effect === 'Allow' && what.startsWith('s3:Delete'),
    );
    expect(deleted.map(({ what }) => what).sort()).toEqual([
      's3:DeleteObject arn:<AWS::Partition>:s3:::shop-lake/orders.generations/*',
      's3:DeleteObject arn:<AWS::Partition>:s3:::shop-lake/orders/*',
    ]);
  });
});

describe('the state machine', () => {
  const { States: states, StartAt } = definitionOf(stack, machineOf(`${TABLE}Machine`));
  const item = states['Partitions'].ItemProcessor;
  const chosen = async (of: any, state: string, input: object): Promise<string> => {
    for (const { Condition, Next } of of[state].Choices) {
      if (await evaluate(Condition, { input })) {
        return Next;
      }
    }
    return of[state].Default;
  };
  const URI = 's3://acme-lake/anpr/_lakewright/compact/5f0c.json';
  const task = (n: number, merges: number) => ({
    plan: `s3://acme-lake/anpr/_lakewright/partition/hour=${n}/plan/00000001`,
    partition: `hour=${n}/`,
    step: 'publish',
    merges: Array.from({ length: merges }, (_, index) => ({ plan: 'p', task: index })),
  });
  const report = (tasks: object[], more: object = {}) => ({
    job: 'compact',
    table: 'anpr.by_event_time',
    dry_run: false,
    plan: URI,
    tasks,
    partitions_seen: tasks.length + 22,
    partitions_planned: tasks.length,
    partitions_refused: 1,
    refused: [{ partition: 'hour=7/', reason: 'why' }],
    left: { too_few_files: 20, hot: 1 },
    ...more,
  });

  test.each(machines)('%s is valid Amazon States Language', (name) => {
    const { isValid, errorsText } = validate(definitionOf(stack, machineOf(name)), { checkPaths: true });
    expect(errorsText()).toBe('');
    expect(isValid).toBe(true);
  });

  test.each([
    [{}, {}],
    [{ partitions: "year = '2026'" }, { partitions: "year = '2026'" }],
    [{ dry_run: true }, { dry_run: true }],
    [{ table: 'another.one' }, {}],
  ])('asks compact-plan for its own job: %j', async (input, asked) => {
    expect(StartAt).toBe('Writes?');
    const context = { Execution: { Input: input } };
    expect(await evaluate(states['Plan'].Arguments.Payload, { input, context })).toEqual({
      ...asked,
      table: 'anpr.by_event_time',
    });
    const inPlace = definitionOf(stack, machineOf(`${PREFIX}Machine`)).States['Plan'].Arguments.Payload;
    expect(await evaluate(inPlace, { input: {}, context: { Execution: { Input: {} } } })).toEqual({
      target: 's3://acme-lake/archive/',
    });
  });

  test.each([
    ['a partition', report([task(1, 2)]), 'Partitions'],
    ['a hundred', report(Array.from({ length: 100 }, (_, n) => task(n, 1))), 'Partitions'],
    ['more', report(Array.from({ length: 101 }, (_, n) => task(n, 1))), 'List'],
    ['a list too long for an answer', report([], { partitions_seen: 5000 }), 'List'],
    ['a long list and nothing else', report([], { partitions_seen: 5000, left: {}, partitions_refused: 0, refused: [] }), 'List'],
    ['nothing to do', report([]), 'Done'],
    ['nothing but what is refused', report([], { partitions_seen: 60, left: {}, partitions_refused: 60 }), 'Done'],
    ['nothing there', report([], { partitions_seen: 0, left: {}, partitions_refused: 0, refused: [] }), 'Done'],
    ['a dry run', report([task(1, 2)], { dry_run: true, plan: null }), 'Done'],
    ['a status', { job: 'compact', table: 'anpr.by_event_time', partitions: [] }, 'Done'],
  ])('goes on by the plan: %s', async (_, answer, next) => {
    expect(await chosen(states, 'What?', answer)).toBe(next);
  });

  const listed = async (input: object) => (await evaluate(states['List'].Output, { input })) as object;

  test('takes the partitions from the plan, or from its list', async () => {
    expect(await evaluate(states['Partitions'].Items, { input: report([task(1, 2)]) })).toEqual([task(1, 2)]);
    const { ItemReader, ItemProcessor } = states['Partitions of list'];
    expect(ItemProcessor.ProcessorConfig).toEqual({ Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' });
    expect(flat(ItemReader.Resource)).toMatch(/:states:::s3:getObject$/);
    expect(ItemReader.ReaderConfig).toEqual({ InputType: 'JSON' });
    expect(ItemReader.Parameters).toEqual({ 'Bucket.$': '$.list.bucket', 'Key.$': '$.list.key' });
    expect(await listed(report([task(1, 2)]))).toMatchObject({
      list: { bucket: 'acme-lake', key: 'anpr/_lakewright/compact/5f0c.json' },
    });
  });

  test('does the same with each, wherever it comes from', () => {
    const inline = JSON.stringify(item.States);
    const distributed = JSON.stringify(states['Partitions of list'].ItemProcessor.States);
    expect(distributed.replaceAll(' of list"', '"')).toBe(inline);
  });

  test('merges what a partition has to merge, then publishes', async () => {
    expect(item.StartAt).toBe('Merges');
    const { Items, ItemProcessor, Output, Next } = item.States['Merges'];
    for (const merges of [0, 1, 3]) {
      expect(await evaluate(Items, { input: task(1, merges) })).toEqual(task(1, merges).merges);
    }
    expect(await evaluate(ItemProcessor.States['Merge'].Arguments.Payload, { input: { plan: 'p', task: 0 } })).toEqual({
      plan: 'p',
      task: 0,
    });
    expect(await evaluate(Output, { input: task(1, 2), result: [{}, {}] })).toEqual(task(1, 2));
    expect(Next).toBe('Publish');
    const { merges: _, ...step } = task(1, 2);
    expect(await evaluate(item.States['Publish'].Arguments.Payload, { input: task(1, 2) })).toEqual(step);
  });

  test('waits before the next step for as long as it is told, until there is none', async () => {
    const next = { plan: 'p', partition: 'hour=1/', step: 'sweep' };
    const answer = { job: 'compact', partition: 'hour=1/', step: 'publish', status: 'done', next, wait_seconds: 1200 };
    expect(await chosen(item.States, 'More steps?', answer)).toBe('Wait');
    const { Seconds, Output, Next } = item.States['Wait'];
    expect(await evaluate(Seconds, { input: answer })).toBe(1200);
    expect(await evaluate(Output, { input: answer })).toEqual(next);
    expect(Next).toBe('Publish');
    expect(await evaluate(item.States['Publish'].Arguments.Payload, { input: next })).toEqual(next);
    expect(await chosen(item.States, 'More steps?', { ...answer, next: null, wait_seconds: null })).toBe('Stands');
  });

  test('lets no partition keep the others from going on, and names those that failed', async () => {
    const failure = { partition: 'hour=1/', error: 'Lakewright.SchemasDiffer', cause: 'why' };
    for (const state of ['Merges', 'Publish']) {
      const [{ ErrorEquals, Next, Output }] = item.States[state].Catch;
      expect(ErrorEquals).toEqual(['States.ALL']);
      expect(Next).toBe('Left');
      const errorOutput = { Error: failure.error, Cause: failure.cause };
      expect(await evaluate(flatten(Output), { input: task(1, 2), errorOutput })).toEqual(failure);
    }
    const input = report([task(1, 2), task(2, 1)]);
    const { tasks: _, ...summary } = input;
    expect(states['Partitions of list'].ResultPath).toBe('$.results');
    expect(states['Partitions of list'].Next).toBe('Failures');
    for (const goes of [
      (result: object[]) => evaluate(states['Partitions'].Output, { input, result }),
      async (results: object[]) => evaluate(states['Failures'].Output, { input: { ...(await listed(input)), results } }),
    ]) {
      for (const [result, failures] of [
        [[{}, {}], []],
        [[failure, {}], [failure]],
      ]) {
        const output = (await goes(result!)) as object;
        expect(output).toEqual({ ...summary, failures });
        expect(await chosen(states, 'All done?', output)).toBe(failures!.length === 0 ? 'Done' : 'Partitions failed');
      }
    }
    const { Error, Cause } = states['Partitions failed'];
    expect(Error).toBe('Lakewright.PartitionsFailed');
    expect(await evaluate(Cause, { input: { failures: [failure] } })).toBe(JSON.stringify([failure]));
  });

  test('tries again what may pass, and nothing else', () => {
    const calls = [states['Plan'], item.States['Merges'].ItemProcessor.States['Merge'], item.States['Publish']];
    for (const { Retry, TimeoutSeconds } of calls) {
      expect(TimeoutSeconds).toBeGreaterThan(900);
      const retried = Retry.flatMap(({ ErrorEquals }: { ErrorEquals: string[] }) => ErrorEquals);
      expect(retried).toEqual(
        expect.arrayContaining(['Lambda.TooManyRequestsException', 'Lakewright.StoreFailed', 'Lakewright.CatalogFailed', 'Lakewright.Deadline']),
      );
      expect(retried).not.toContain('States.ALL');
      expect(retried).not.toContain('Lakewright.AccessDenied');
      expect(retried).not.toContain('States.TaskFailed');
    }
  });
});

test.each<[string, string[], string[]]>([
  ['', ['rate(1 day)'], ['86400 2']],
  ['off', [], []],
  ['rate(6 hours)', ['rate(6 hours)'], ['21600 2']],
  ['rate(3 days)', ['rate(3 days)'], ['86400 6']],
  ['rate(10 days)', ['rate(10 days)'], []],
  ['cron(0 3 * * ? *)', ['cron(0 3 * * ? *)'], []],
])('a job starts by its schedule, and silence is watched where it is a rate: %s', (said, expected, watched) => {
  const of = template(TWO_COMPACTIONS.replaceAll('[[compact]]', `[[compact]]${said === '' ? '' : `\nschedule = "${said}"`}`));
  for (const name of [TABLE, PREFIX]) {
    const [machine] = the(of, 'AWS::StepFunctions::StateMachine', machineOf(`${name}Machine`));
    const schedules = resources(of, 'AWS::Scheduler::Schedule')
      .map(([, { Properties }]) => Properties)
      .filter(({ Target }) => flat(Target.Arn) === `<${machine}>`);
    expect(schedules.map(({ ScheduleExpression, State, Target }) => [ScheduleExpression, State, JSON.parse(flat(Target.Input))])).toEqual(
      expected.map((expression) => [expression, 'ENABLED', { scheduled: true }]),
    );
    const silence = resources(of, 'AWS::CloudWatch::Alarm')
      .map(([, { Properties }]) => Properties)
      .filter(({ MetricName, Dimensions }) => MetricName === 'ExecutionsSucceeded' && flat(Dimensions[0].Value) === `<${machine}>`);
    expect(silence.map(({ Period, EvaluationPeriods }) => `${Period} ${EvaluationPeriods}`)).toEqual(watched);
  }
});

describe('a run', () => {
  const { States: states, StartAt } = definitionOf(stack, machineOf(`${TABLE}Machine`));
  const context = (Input: object) => ({ Execution: { Id: 'me', Input } });
  /** The states that a run passes before it plans, and what it asks for. */
  const passed = async (input: object, running: string[], succeeded: number): Promise<[string[], unknown]> => {
    const path: string[] = [];
    let at: string = StartAt;
    let data: any = input;
    while (states[at].Type !== 'Succeed' && at !== 'Plan') {
      path.push(at);
      const { Choices, Default, Next, Output } = states[at];
      if (Choices) {
        let next = Default;
        for (const choice of Choices) {
          if ((await evaluate(choice.Condition, { input: data, context: context(input) })) === true) {
            next = choice.Next;
            break;
          }
        }
        at = next;
      } else {
        const Executions = at === 'Running' ? running.map((ExecutionArn) => ({ ExecutionArn })) : Array.from({ length: succeeded }, () => ({}));
        data = (await evaluate(Output, { context: context(input), result: { Executions } })) ?? {};
        at = Next;
      }
    }
    return at === 'Plan'
      ? [path, await evaluate(states['Plan'].Arguments.Payload, { input: data, context: context(input) })]
      : [[...path, at], undefined];
  };
  const table = { table: 'anpr.by_event_time' };
  const [before, alone] = [['me', 'before'], ['me']];

  test.each<[string, object, string[], number, string, object | undefined]>([
    ['the first by schedule', { scheduled: true }, alone, 0, 'Earlier runs', { ...table, dry_run: true }],
    ['a later one', { scheduled: true }, alone, 1, 'Earlier runs', table],
    ['the first by hand', {}, alone, 0, 'Earlier runs', { ...table, dry_run: true }],
    ['the first, which is meant', { dry_run: false }, alone, 0, 'First?', { ...table, dry_run: false }],
    ['a second one at a time', { scheduled: true }, before, 1, 'Already running', undefined],
    ['a look beside a run', { dry_run: true }, before, 1, 'Writes?', { ...table, dry_run: true }],
    ['a status beside a run', { status: true }, before, 1, 'Writes?', { ...table, status: true }],
  ])('is dry or is left to another: %s', async (_, input, running, succeeded, last, asked) => {
    const [path, payload] = await passed(input, running, succeeded);
    expect(path.at(-1)).toBe(last);
    expect(payload).toEqual(asked);
  });

  test('is never dry by itself where the configuration says so', () => {
    const of = template(TWO_COMPACTIONS.replaceAll('[[compact]]', '[[compact]]\ndry_run_first = false'));
    const { States } = definitionOf(of, machineOf(`${TABLE}Machine`));
    expect(States['Alone?'].Default).toBe('Plan');
    expect(States['Earlier runs']).toBeUndefined();
  });
});

test('alarms are raised for a partition that failed, and where no run succeeds', () => {
  const raised = resources(stack, 'AWS::CloudWatch::Alarm')
    .map(([, { Properties }]) => Properties)
    .filter(({ Namespace }) => Namespace === 'AWS/States' )
    .filter(({ Dimensions }) => flat(Dimensions[0].Value).startsWith('<Compact'))
    .map(({ MetricName, Period, EvaluationPeriods, ComparisonOperator, TreatMissingData }) =>
      [MetricName, Period, EvaluationPeriods, ComparisonOperator, TreatMissingData].join(' '),
    );
  const each = [
    'ExecutionsFailed 300 1 GreaterThanOrEqualToThreshold notBreaching',
    'ExecutionsSucceeded 86400 2 LessThanThreshold breaching',
    'ExecutionsTimedOut 300 1 GreaterThanOrEqualToThreshold notBreaching',
  ];
  expect(raised.sort()).toEqual([...each, ...each].sort());
  const refused = resources(stack, 'AWS::CloudWatch::Alarm')
    .map(([, { Properties }]) => Properties)
    .filter(({ MetricName }) => MetricName === 'PartitionsRefused')
    .map(({ Namespace, Threshold, Dimensions }) => [Namespace, Threshold, Dimensions[0].Value].join(' '));
  expect(refused.sort()).toEqual(['Lakewright 1 anpr.by_event_time', 'Lakewright 1 s3://acme-lake/archive/']);
});

test('the outputs name the state machines and the functions', () => {
  expect(Object.keys(stack.findOutputs('*')).filter((key) => key.startsWith('Compact')).sort()).toEqual(
    [
      `${TABLE}StateMachineArn`,
      `${PREFIX}StateMachineArn`,
      `${TABLE}MachineRoleArn`,
      `${PREFIX}MachineRoleArn`,
      ...['Plan', 'Merge', 'Publish'].flatMap((name) => ['FunctionName', 'RoleArn'].map((of) => `Compact${name}${of}`)),
    ].sort(),
  );
});

/** An expression that CDK passes on as it is. */
function flatten(value: unknown): string {
  if (typeof value !== 'string') {
    throw new Error(`no expression: ${JSON.stringify(value)}`);
  }
  return value;
}
