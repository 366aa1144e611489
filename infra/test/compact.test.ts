import validate from 'asl-validator';
import { describe, expect, test } from 'vitest';
import { execute, type World } from './execution.ts';
import {
  definitionOf,
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
        `s3:ListBucket arn:<AWS::Partition>:s3:::acme-lake {"StringLikeIfExists":{"s3:prefix":"anpr/_lakewright/compact/failed/*"}}`,
        `s3:PutObject ${s3}anpr/_lakewright/compact/failed/*`,
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
  const definition = definitionOf(stack, machineOf(`${TABLE}Machine`));
  const inPlace = definitionOf(stack, machineOf(`${PREFIX}Machine`));
  const LEDGER = 's3://acme-lake/anpr/_lakewright/';
  const WAIT = 20 * 60;
  const partition = (n: number) => `hour=${String(n).padStart(4, '0')}/`;

  /** Functions that have so many partitions to do, and see so many at a time. */
  const world = ({ partitions = 3, atOnce = 10_000, merges = 1, fails = () => undefined, steps = () => 'publish' }: {
    partitions?: number;
    atOnce?: number;
    merges?: number;
    fails?: (kind: 'merge' | 'publish' | 'sweep', partition: string) => string | undefined;
    steps?: (n: number) => string;
  } = {}) => {
    const objects = new Map<string, unknown>();
    const asked: any[] = [];
    const done: Record<string, string[]> = { merge: [], publish: [], sweep: [], delete: [] };
    const put = (name: string, list: object[]): string => {
      objects.set(`acme-lake/anpr/_lakewright/compact/${name}.json`, list);
      return `${LEDGER}compact/${name}.json`;
    };
    const failing = new Set<string>();
    const functions: World['functions'] = {
      CompactPlan: (payload) => {
        asked.push(payload);
        if (payload.status) {
          return { answer: { job: 'compact', table: payload.table, counts: {}, partitions: [] } };
        }
        const all = Array.from({ length: partitions }, (_, n) => n);
        const rest = all.filter((n) => payload.after === undefined || partition(n) > payload.after);
        const seen = rest.slice(0, atOnce);
        const items = seen.map((n) => ({
          plan: `${LEDGER}partition/${partition(n)}plan/00000001`,
          partition: partition(n),
          step: steps(n),
          merges: steps(n) === 'publish' ? Array.from({ length: merges }, (_, task) => ({ plan: 'p', task })) : [],
        }));
        const dry = payload.dry_run === true;
        const flat = items.flatMap(({ partition, merges }) => merges.map((merge) => ({ ...merge, partition })));
        const name = `list-${asked.length}`;
        return {
          seconds: seen.length * 0.04,
          answer: {
            job: 'compact',
            table: payload.table,
            dry_run: dry,
            plan: dry ? null : put(name, items),
            tasks: [],
            items: dry ? 0 : items.length,
            merges: dry || flat.length === 0 ? null : put(`${name}.merges`, flat),
            merges_planned: dry ? 0 : flat.length,
            wait_seconds: !dry && payload.table && items.some(({ step }) => step !== 'delete') ? WAIT : 0,
            partitions_seen: seen.length + 2,
            partitions_unseen: rest.length - seen.length,
            next: rest.length > seen.length ? partition(seen.at(-1)!) : null,
            partitions_planned: seen.length,
            partitions_refused: 1,
            refused: [{ partition: `refused-${asked.length}`, reason: 'why' }],
            requests: { put: 2, get: 3 },
            usd: '0.25',
            left: asked.length === 1 ? { hot: 1 } : { too_few_files: 1 },
          },
        };
      },
      CompactMerge: ({ plan, task, ...others }) => {
        expect([plan, typeof task, others]).toEqual(['p', 'number', {}]);
        done['merge']!.push(String(task));
        return { answer: {}, seconds: MERGE };
      },
      CompactPublish: ({ plan, partition, step, ...others }) => {
        expect(plan).toBe(`${LEDGER}partition/${partition}plan/00000001`);
        expect(others).toEqual({});
        const error = failing.has(partition) ? 'Lakewright.NotMerged' : fails(step, partition);
        if (error) {
          failing.add(partition);
          return step === 'sweep' ? { answer: { next: { step: 'publish' }, wait_seconds: 0 } } : { error };
        }
        done[step]!.push(partition);
        return { answer: { next: step === 'publish' ? { step: 'sweep' } : null, wait_seconds: 0 }, seconds: step === 'publish' ? PUBLISH : SWEEP };
      },
    };
    return { world: { functions, objects } satisfies World, objects, asked, done };
  };
  // Of a partition of some 250 MB in 80 files with 512 MiB of memory, each several times what bench/RESULTS.md has for 23 MB.
  const [MERGE, PUBLISH, SWEEP] = [15, 3, 2];
  const write = { dry_run: false };

  test.each(machines)('%s is valid Amazon States Language', (name) => {
    const { isValid, errorsText } = validate(definitionOf(stack, machineOf(name)), { checkPaths: true });
    expect(errorsText()).toBe('');
    expect(isValid).toBe(true);
  });

  test.each<[object, object]>([
    [{ partitions: "year = '2026'", ...write }, { partitions: "year = '2026'", ...write }],
    [{ dry_run: true }, { dry_run: true }],
    [{ status: true }, { status: true }],
    [{ table: 'another.one', ...write }, write],
  ])('asks compact-plan for its own job: %j', async (input, expected) => {
    const { world: given, asked } = world({ partitions: 0 });
    await execute(definition, input, given);
    await execute(inPlace, input, given);
    const { table: _, ...others } = expected as { table?: string };
    expect(asked).toEqual([
      { ...others, table: 'anpr.by_event_time' },
      { ...others, ...('table' in input ? { table: input.table } : {}), target: 's3://acme-lake/archive/' },
    ]);
  });

  test('merges everything, publishes everything, waits once and sweeps', async () => {
    const { world: given, done } = world({ merges: 2 });
    const { output, path, seconds } = await execute(definition, write, given);
    expect(path.filter((state) => ['Plan', 'Merges', 'Publications', 'Wait', 'Sweeps'].includes(state))).toEqual([
      'Plan',
      'Merges',
      'Publications',
      'Wait',
      'Sweeps',
    ]);
    const all = [0, 1, 2].map(partition);
    expect(done).toEqual({ merge: ['0', '1', '0', '1', '0', '1'], publish: all, sweep: all, delete: [] });
    expect(seconds).toBeLessThan(WAIT + 60);
    expect(output).toMatchObject({ partitions_planned: 3, failures: [], left: { hot: 1 }, usd: '0.25', plan: `${LEDGER}compact/list-1.json` });
    expect(output).not.toHaveProperty('tasks');
  });

  test.each<[string, string, object, string[]]>([
    ['what an earlier run published', 'sweep', write, ['Publications', 'Wait', 'Sweeps']],
    ['what an earlier run swept', 'delete', write, ['Publications']],
    ['nothing, in a dry run', 'publish', { dry_run: true }, []],
    ['nothing, to report the state', 'publish', { status: true }, []],
  ])('does no more than there is to do: %s', async (_, step, input, expected) => {
    const { world: given, done } = world({ steps: () => step });
    const { path, output } = await execute(definition, input, given);
    expect(path.filter((state) => ['Merges', 'Publications', 'Wait', 'Sweeps'].includes(state))).toEqual(expected);
    expect(done[step]).toHaveLength(expected.length > 0 ? 3 : 0);
    expect(output.failures ?? []).toEqual([]);
  });

  test('sweeps nothing where there is no catalog', async () => {
    const { world: given, done } = world();
    const { output, path } = await execute(inPlace, { ...write, table: undefined }, given);
    expect(output).toMatchObject({ failures: [] });
    expect(path).not.toContain('Wait');
    expect(done).toMatchObject({ publish: [0, 1, 2].map(partition), sweep: [] });
  });

  test.each([write, { dry_run: true }])('takes up what was not seen until nothing is left, and waits once: %j', async (input) => {
    const { world: given, done, asked } = world({ partitions: 25, atOnce: 10 });
    const { output, path } = await execute(definition, input, given);
    expect(asked.map(({ after }) => after)).toEqual([undefined, partition(9), partition(19)]);
    expect(path.filter((state) => state === 'Wait')).toHaveLength(input.dry_run ? 0 : 1);
    expect(path.filter((state) => state === 'Sweeps')).toHaveLength(input.dry_run ? 0 : 3);
    const all = input.dry_run ? [] : Array.from({ length: 25 }, (_, n) => partition(n));
    expect(done).toMatchObject({ publish: all, sweep: all });
    expect(output).toMatchObject({
      dry_run: input.dry_run,
      partitions_seen: 31,
      partitions_planned: 25,
      partitions_unseen: 0,
      partitions_refused: 3,
      refused: [1, 2, 3].map((n) => ({ partition: `refused-${n}`, reason: 'why' })),
      requests: { put: 6, get: 9 },
      usd: '0.75',
      left: { hot: 1, too_few_files: 2 },
      next: null,
      failures: [],
    });
  });

  test('names 300 partitions that failed, and finishes the others', async () => {
    const { world: given, objects, done } = world({
      partitions: 320,
      fails: (kind, which) => (kind === 'publish' && which < partition(300) ? 'Lakewright.AccessDenied' : undefined),
    });
    // What an earlier run noted is no part of this one.
    objects.set(`acme-lake/anpr/_lakewright/compact/failed/run-0/${partition(310)}Lakewright.Deadline`, {});
    const { error, cause } = await execute(definition, write, given);
    expect(error).toBe('Lakewright.PartitionsFailed');
    const { failures, all } = JSON.parse(cause!);
    expect(all).toBe(`${LEDGER}compact/failed/run-1/`);
    expect(failures).toHaveLength(200);
    expect(failures[7]).toEqual({ partition: partition(7), error: 'Lakewright.AccessDenied' });
    const noted = [...objects.entries()].filter(([key]) => key.includes('/compact/failed/run-1/'));
    expect(noted).toHaveLength(300);
    expect(noted[0]![1]).toMatchObject({ partition: partition(0), error: 'Lakewright.AccessDenied', cause: expect.stringContaining('of {') });
    expect(done['sweep']).toHaveLength(20);
  });

  test('names a partition by the merge that failed, not by what follows from it', async () => {
    const { world: given } = world();
    const broken: World = {
      ...given,
      functions: {
        ...given.functions,
        CompactMerge: () => ({ error: 'Lakewright.Unreadable' }),
        CompactPublish: ({ step }) => (step === 'publish' ? { error: 'Lakewright.NotMerged' } : { answer: { next: null } }),
      },
    };
    const { cause } = await execute(definition, write, broken);
    expect(JSON.parse(cause!).failures).toEqual([0, 1, 2].map((n) => ({ partition: partition(n), error: 'Lakewright.Unreadable' })));
  });

  test('gets through a year of hours within an hour, and merges no more at once than the context says', async () => {
    const { world: given, done } = world({ partitions: 8_760 });
    const { output, seconds, atOnce } = await execute(definition, write, given);
    expect(output.failures).toEqual([]);
    expect(done['sweep']).toHaveLength(8_760);
    expect(atOnce).toMatchObject({ CompactMerge: 100, CompactPublish: 100 });
    expect(seconds / 60).toBeLessThan(60);
    const few = definitionOf(template(TWO_COMPACTIONS, { 'compact-concurrency': 7 }), machineOf(`${TABLE}Machine`));
    const { atOnce: bounded } = await execute(few, write, world({ partitions: 30, merges: 4 }).world);
    expect(bounded).toMatchObject({ CompactMerge: 7, CompactPublish: 7 });
  });

  test('encrypts what it notes as the job says', () => {
    const encrypted = TWO_COMPACTIONS.replaceAll('[[compact]]', '[[compact]]\nencryption = { algorithm = "aws:kms", key = "alias/lake" }');
    const { States } = definitionOf(template(encrypted), machineOf(`${TABLE}Machine`));
    const notes = ['Merges', 'Publications', 'Sweeps'].flatMap((map) =>
      Object.entries<any>(States[map].ItemProcessor.States).filter(([name]) => name.startsWith('Note')),
    );
    expect(notes).toHaveLength(3);
    for (const [, { Arguments }] of notes) {
      expect(Arguments).toMatchObject({ ServerSideEncryption: 'aws:kms', SsekmsKeyId: 'alias/lake' });
    }
  });

  test('tries again what may pass, and nothing else', () => {
    const { States: states } = definition;
    const calls = [
      states['Plan'],
      states['Merges'].ItemProcessor.States['Merge'],
      states['Publications'].ItemProcessor.States['Publish'],
      states['Sweeps'].ItemProcessor.States['Sweep'],
    ];
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
      .filter(({ ComparisonOperator, Dimensions }) => ComparisonOperator === 'LessThanThreshold' && Dimensions[0].Value === 'anpr.by_event_time');
    expect(silence.map(({ Period, EvaluationPeriods }) => `${Period} ${EvaluationPeriods}`)).toEqual(watched);
  }
});

test.each<[string, object, string[], number, string, object | undefined]>([
  ['the first by schedule', { scheduled: true }, ['me'], 0, 'Earlier runs', { dry_run: true }],
  ['a later one', { scheduled: true }, ['me'], 1, 'Earlier runs', {}],
  ['the first by hand', {}, ['me'], 0, 'Earlier runs', { dry_run: true }],
  ['the first, which is meant', { dry_run: false }, ['me'], 0, 'First?', { dry_run: false }],
  ['a second one at a time', { scheduled: true }, ['me', 'before'], 1, 'Already running', undefined],
  ['a look beside a run', { dry_run: true }, ['me', 'before'], 1, 'Writes?', { dry_run: true }],
  ['a status beside a run', { status: true }, ['me', 'before'], 1, 'Writes?', { status: true }],
])('a run is dry or is left to another: %s', async (_, input, running, succeeded, last, asked) => {
  const payloads: object[] = [];
  const { path } = await execute(definitionOf(stack, machineOf(`${TABLE}Machine`)), input, {
    functions: {
      CompactPlan: (payload) => {
        payloads.push(payload);
        return { answer: { dry_run: payload.dry_run ?? false, partitions_seen: 0, items: 0, wait_seconds: 0, next: null } };
      },
    },
    objects: new Map(),
    executions: { RUNNING: running.map((ExecutionArn) => ({ ExecutionArn })), SUCCEEDED: Array.from({ length: succeeded }, () => ({})) },
  });
  const planned = path.indexOf('Plan');
  expect((planned === -1 ? path : path.slice(0, planned)).at(-1)).toBe(last);
  expect(payloads).toEqual(asked === undefined ? [] : [{ ...asked, table: 'anpr.by_event_time' }]);
});

test('a run is never dry by itself where the configuration says so', () => {
  const of = template(TWO_COMPACTIONS.replaceAll('[[compact]]', '[[compact]]\ndry_run_first = false'));
  const { States } = definitionOf(of, machineOf(`${TABLE}Machine`));
  expect(States['Alone?'].Default).toBe('Plan');
  expect(States['Earlier runs']).toBeUndefined();
});

test('alarms are raised for a partition that failed, and where no run plans', () => {
  const raised = resources(stack, 'AWS::CloudWatch::Alarm')
    .map(([, { Properties }]) => Properties)
    .filter(({ Namespace }) => Namespace === 'AWS/States' )
    .filter(({ Dimensions }) => flat(Dimensions[0].Value).startsWith('<Compact'))
    .map(({ MetricName, Period, EvaluationPeriods, ComparisonOperator, TreatMissingData }) =>
      [MetricName, Period, EvaluationPeriods, ComparisonOperator, TreatMissingData].join(' '),
    );
  const each = [
    'ExecutionsFailed 300 1 GreaterThanOrEqualToThreshold notBreaching',
    'ExecutionsTimedOut 300 1 GreaterThanOrEqualToThreshold notBreaching',
  ];
  expect(raised.sort()).toEqual([...each, ...each].sort());
  const silent = resources(stack, 'AWS::CloudWatch::Alarm')
    .map(([, { Properties }]) => Properties)
    .filter(({ ComparisonOperator }) => ComparisonOperator === 'LessThanThreshold')
    .map(({ Namespace, MetricName, Statistic, Period, EvaluationPeriods, TreatMissingData, Dimensions }) =>
      [Namespace, MetricName, Statistic, Period, EvaluationPeriods, TreatMissingData, Dimensions[0].Value].join(' '),
    );
  const planned = 'Lakewright PartitionsPlanned SampleCount 86400 2 breaching';
  expect(silent.sort()).toEqual([`${planned} anpr.by_event_time`, `${planned} s3://acme-lake/archive/`]);
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
