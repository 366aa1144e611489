import validate from 'asl-validator';
import { Match, type Template } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import {
  allowed,
  evaluate,
  flat,
  list,
  policiesOf as policies,
  resources,
  template,
  the as theOf,
  TWO_JOBS,
  TWO_SPLITS,
  type Resource,
} from './support.ts';

const stack = template(TWO_SPLITS);
const jobs = ['userinfo', 'invoices'];

const the = (type: string, prefix: string, of: Template = stack) => theOf(of, type, prefix);
const functionOf = (name: string, of: Template = stack): [string, Resource] =>
  resources(of, 'AWS::Lambda::Function').find(([, { Properties }]) => Properties['FunctionName'] === name)!;
const variables = (name: string): Record<string, any> => functionOf(name)[1].Properties['Environment'].Variables;
const definition = (job: string, of: Template = stack): any =>
  JSON.parse(flat(the('AWS::StepFunctions::StateMachine', `Split${job}MachineStateMachine`, of)[1].Properties['DefinitionString']));

describe('the functions', () => {
  test('have the memory and the time that their work takes', () => {
    stack.resourceCountIs('AWS::Lambda::Function', 4);
    stack.hasResourceProperties('AWS::Lambda::Function', { FunctionName: 'split-plan', MemorySize: 2048, Timeout: 900 });
    stack.hasResourceProperties('AWS::Lambda::Function', { FunctionName: 'split-rows', MemorySize: 256, Timeout: 120 });
    const sized = template(TWO_SPLITS, { 'split-plan-memory': 3008, 'split-rows-memory': '512', 'split-rows-timeout': 60 });
    sized.hasResourceProperties('AWS::Lambda::Function', { FunctionName: 'split-plan', MemorySize: 3008, Timeout: 900 });
    sized.hasResourceProperties('AWS::Lambda::Function', { FunctionName: 'split-rows', MemorySize: 512, Timeout: 60 });
  });

  test('know the queue of every job, and which queues are for dead letters', () => {
    const queue = (job: string) => the('AWS::SQS::Queue', `Split${job}Queue`)[0];
    for (const [of, name, job] of [['', 'user_info', 'userinfo'], ['-anywhere', 'invoices', 'invoices']] as const) {
      expect(JSON.parse(flat(variables(`split-plan${of}`)['LAKEWRIGHT_QUEUES']))).toEqual({ [name]: `<${queue(job)}>` });
      const dead = the('AWS::SQS::Queue', `Split${job}DeadLetterQueue`)[0];
      expect(JSON.parse(flat(variables(`split-rows${of}`)['LAKEWRIGHT_DEAD_LETTERS']))).toEqual([`<${dead}.Arn>`]);
    }
  });

  test('are shared by jobs that name their sources', () => {
    const of = template(TWO_SPLITS.replace('allow_any_source = true', 'sources = ["s3://acme-results/invoices/"]'));
    of.resourceCountIs('AWS::Lambda::Function', 2);
    const { LAKEWRIGHT_QUEUES, LAKEWRIGHT_DEAD_LETTERS } = {
      ...functionOf('split-plan', of)[1].Properties['Environment'].Variables,
      ...functionOf('split-rows', of)[1].Properties['Environment'].Variables,
    };
    expect(Object.keys(JSON.parse(flat(LAKEWRIGHT_QUEUES)))).toEqual(['user_info', 'invoices']);
    expect(JSON.parse(flat(LAKEWRIGHT_DEAD_LETTERS))).toHaveLength(2);
  });

  test('are deployed with the jobs of other kinds, and without them', () => {
    const names = (of: Template) => resources(of, 'AWS::Lambda::Function').map(([, { Properties }]) => Properties['FunctionName']);
    expect(names(template(`${TWO_JOBS}\n${TWO_SPLITS}`)).sort()).toEqual([
      'rekey',
      ...['split-plan', 'split-plan-anywhere', 'split-rows', 'split-rows-anywhere'],
    ]);
    expect(names(template(TWO_JOBS))).toEqual(['rekey']);
  });
});

describe('the roles', () => {
  const policiesOf = (role: string) => policies(stack, role);
  const s3 = 'arn:<AWS::Partition>:s3:::';
  const under = (prefix: string) => ` {"StringLikeIfExists":{"s3:prefix":"${prefix}*"}}`;
  const anywhere = ['GetObject', 'ListBucket'].map((action) => `s3:${action} ${s3}*`);
  const key = 'arn:<AWS::Partition>:kms:<AWS::Region>:<AWS::AccountId>:key/*';
  const encrypt = ['kms:GenerateDataKey', 'kms:Decrypt'].map(
    (action) => `${action} ${key} {"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/objects"}}`,
  );
  const results = [`s3:GetObject ${s3}acme-results/athena/*`, `s3:ListBucket ${s3}acme-results${under('athena/')}`];
  const config = `s3:GetObject ${s3}cdk-hnb659fds-assets-<AWS::AccountId>-<AWS::Region>/<hash>.toml`;
  const logs = (group: string) =>
    ['logs:CreateLogStream', 'logs:PutLogEvents'].map((action) => `${action} <${the('AWS::Logs::LogGroup', group)[0]}.Arn>`);
  // AWS gives these actions no resource type.
  const callback = ['SendTaskSuccess', 'SendTaskFailure', 'SendTaskHeartbeat'].map((action) => `states:${action} *`);
  const primary = 'arn:<AWS::Partition>:athena:<AWS::Region>:<AWS::AccountId>:workgroup/primary';

  test.each([
    ['', 'userinfo', 'user_info', [...results, ...encrypt], [`s3:PutObjectTagging ${s3}acme-objects/user_info/_lakewright/split/*`]],
    ['Anywhere', 'invoices', 'invoices', anywhere, []],
  ])('let split-plan%s read results, write the ledger and tell who waits', (own, id, job, reads, tags) => {
    expect(allowed(policiesOf(`SplitPlan${own}Role`))).toEqual(
      [
        config,
        ...logs(`SplitPlan${own}Logs`),
        ...callback,
        ...reads,
        `s3:GetObject ${s3}acme-objects/${job}/_lakewright/split/*`,
        `s3:PutObject ${s3}acme-objects/${job}/_lakewright/split/*`,
        `s3:ListBucket ${s3}acme-objects${under(`${job}/_lakewright/split/`)}`,
        ...tags,
        ...['SendMessage', 'GetQueueAttributes', 'GetQueueUrl'].map(
          (action) => `sqs:${action} <${the('AWS::SQS::Queue', `Split${id}Queue`)[0]}.Arn>`,
        ),
        `athena:GetQueryExecution ${primary}`,
        `athena:GetQueryResults ${primary}`,
      ].sort(),
    );
  });

  test.each([
    ['', 'userinfo', 'user_info', [...results, ...encrypt], [`s3:PutObjectTagging ${s3}acme-objects/user_info/*`]],
    ['Anywhere', 'invoices', 'invoices', anywhere, []],
  ])('let split-rows%s write the objects as the job wants them, and delete nothing', (own, id, job, reads, tags) => {
    expect(allowed(policiesOf(`SplitRows${own}Role`))).toEqual(
      [
        config,
        ...logs(`SplitRows${own}Logs`),
        ...callback,
        ...reads,
        `s3:GetObject ${s3}acme-objects/${job}/*`,
        `s3:PutObject ${s3}acme-objects/${job}/*`,
        `s3:ListBucket ${s3}acme-objects${under(`${job}/`)}`,
        ...tags,
        ...['Queue', 'DeadLetterQueue'].flatMap((queue) =>
          ['ReceiveMessage', 'DeleteMessage', 'ChangeMessageVisibility', 'GetQueueAttributes', 'GetQueueUrl'].map(
            (action) => `sqs:${action} <${the('AWS::SQS::Queue', `Split${id}${queue}`)[0]}.Arn>`,
          ),
        ),
      ].sort(),
    );
  });

  test.each([
    ['arn:aws:kms:eu-west-1:111122223333:key/ab-cd', 'arn:aws:kms:eu-west-1:111122223333:key/ab-cd', undefined],
    ['ab-cd', 'arn:<AWS::Partition>:kms:<AWS::Region>:<AWS::AccountId>:key/ab-cd', undefined],
    ['arn:aws:kms:eu-west-1:111122223333:alias/k', 'arn:<AWS::Partition>:kms:<AWS::Region>:<AWS::AccountId>:key/*', 'alias/k'],
  ])('allow the use of the key %s', (key, resource, alias) => {
    const of = template(TWO_SPLITS.replace('alias/objects', key));
    const statements = resources(of, 'AWS::IAM::Policy').flatMap(([, { Properties }]) => Properties['PolicyDocument'].Statement);
    const found = statements.filter(({ Action }: any) => list(Action).includes('kms:Decrypt'));
    // Of split-plan, for the ledger, and of split-rows.
    expect(found).toHaveLength(2);
    for (const statement of found) {
      expect(flat(statement.Resource)).toBe(resource);
      expect(statement.Condition?.['ForAnyValue:StringEquals']['kms:ResourceAliases']).toBe(alias);
    }
  });

  test('let the state machine run its queries, keep their results where they are read, and call split-plan', () => {
    const [plan] = functionOf('split-plan');
    const own = allowed(policiesOf('SplituserinfoMachineRole')).filter((allow) => !/^(logs|xray):/.test(allow));
    expect(own).toEqual(
      [
        `athena:startQueryExecution ${primary}`,
        `athena:getQueryExecution ${primary}`,
        `lambda:InvokeFunction <${plan}.Arn>`,
        `lambda:InvokeFunction <${plan}.Arn>:*`,
        ...['GetObject', 'PutObject', 'AbortMultipartUpload', 'ListMultipartUploadParts'].map(
          (action) => `s3:${action} ${s3}acme-results/athena/*`,
        ),
        `s3:GetBucketLocation ${s3}acme-results`,
        `s3:ListBucket ${s3}acme-results${under('athena/')}`,
      ].sort(),
    );
    const nowhere = allowed(policiesOf('SplitinvoicesMachineRole')).filter((allow) => allow.startsWith('s3:'));
    expect(nowhere).toEqual([]);
  });

  test('take the policies of what the queries read, and other workgroups', () => {
    const arn = 'arn:aws:iam::111122223333:policy/reads-users';
    const of = template(TWO_SPLITS, { 'query-policies': arn, workgroups: 'etl, adhoc' });
    const withPolicy = resources(of, 'AWS::IAM::Role').filter(([, { Properties }]) => Properties['ManagedPolicyArns']);
    expect(withPolicy.map(([id]) => id.replace(/[0-9A-F]{8}$/, ''))).toEqual(['SplituserinfoMachineRole', 'SplitinvoicesMachineRole']);
    for (const [, { Properties }] of withPolicy) {
      expect(Properties['ManagedPolicyArns']).toEqual([arn]);
    }
    const groups = allowed(resources(of, 'AWS::IAM::Policy').map(([, policy]) => policy))
      .filter((allow) => allow.startsWith('athena:'))
      .map((allow) => allow.replace(/ .*\//, ' '));
    expect([...new Set(groups)].sort()).toEqual([
      'athena:GetQueryExecution adhoc',
      'athena:GetQueryExecution etl',
      'athena:GetQueryResults adhoc',
      'athena:GetQueryResults etl',
      'athena:getQueryExecution adhoc',
      'athena:getQueryExecution etl',
      'athena:startQueryExecution etl',
    ]);
    expect(definition('userinfo', of).States['Start query'].Arguments.WorkGroup).toBe('etl');
  });

  test('have no managed policy otherwise', () => {
    for (const [, { Properties }] of resources(stack, 'AWS::IAM::Role')) {
      expect(Properties['ManagedPolicyArns']).toBeUndefined();
    }
  });
});

describe('the queues', () => {
  test.each([{}, { 'split-rows-timeout': 900 }])('leave a chunk six times the timeout, and give it up after five tries: %j', (context) => {
    const of = template(TWO_SPLITS, context);
    for (const job of jobs) {
      const visibility = 6 * functionOf('split-rows', of)[1].Properties['Timeout'];
      const [dead, { Properties: deadLetters }] = the('AWS::SQS::Queue', `Split${job}DeadLetterQueue`, of);
      const [, { Properties: queue }] = the('AWS::SQS::Queue', `Split${job}Queue`, of);
      expect(queue['RedrivePolicy'].maxReceiveCount).toBe(5);
      expect(flat(queue['RedrivePolicy'].deadLetterTargetArn)).toBe(`<${dead}.Arn>`);
      for (const properties of [queue, deadLetters]) {
        expect(properties).toMatchObject({
          SqsManagedSseEnabled: true,
          MessageRetentionPeriod: 14 * 86_400,
          VisibilityTimeout: visibility,
        });
      }
      expect(deadLetters['RedrivePolicy']).toBeUndefined();
    }
  });

  test('both feed split-rows, which may fail single messages', () => {
    const of = template(TWO_SPLITS, { 'max-concurrency': 7 });
    const mappings = resources(of, 'AWS::Lambda::EventSourceMapping').map(([, { Properties }]) => Properties);
    for (const mapping of mappings) {
      const own = flat(mapping['EventSourceArn']).includes('invoices') ? '-anywhere' : '';
      const [rows] = functionOf(`split-rows${own}`, of);
      expect(mapping).toMatchObject({ FunctionName: { Ref: rows }, FunctionResponseTypes: ['ReportBatchItemFailures'] });
    }
    const found = mappings.map(({ EventSourceArn, BatchSize, ScalingConfig }) =>
      [flat(EventSourceArn).replace(/[0-9A-F]{8}\.Arn/, ''), BatchSize, ScalingConfig.MaximumConcurrency].join(' '),
    );
    expect(found.sort()).toEqual(
      jobs.flatMap((job) => [`<Split${job}Queue> 1 7`, `<Split${job}DeadLetterQueue> 10 2`]).sort(),
    );
  });
});

describe('the state machine', () => {
  const { States: states, ...machine } = definition('userinfo');
  const execution = (input: object) => ({ Execution: { Id: 'arn:aws:states:eu-west-1:1:execution:m:e', Input: input } });
  /** Where a choice leads. */
  const chosen = async (state: string, input: object): Promise<string> => {
    for (const { Condition, Next } of states[state].Choices) {
      if (await evaluate(Condition, { input })) {
        return Next;
      }
    }
    return states[state].Default;
  };

  test.each(jobs)('of %s is valid Amazon States Language', (job) => {
    const { isValid, errorsText } = validate(definition(job), { checkPaths: true });
    expect(errorsText()).toBe('');
    expect(isValid).toBe(true);
  });

  test.each([
    [{ query: 'SELECT 1' }, 'Start query'],
    [{ query: 'SELECT 1', database: 'd', confirm: true, name: 'user_info' }, 'Start query'],
    [{ query_execution_id: 'q' }, 'Look'],
    [{ result: 's3://acme-results/athena/x.csv' }, 'Split'],
    [{}, 'Bad request'],
    [{ query: 'SELECT 1', result: 's3://b/k' }, 'Bad request'],
    [{ query_execution_id: 'q', result: 's3://b/k' }, 'Bad request'],
    [{ result: 's3://b/k', name: 'invoices' }, 'Bad request'],
  ])('begins by its input: %j', async (input, next) => {
    expect(machine).toMatchObject({ StartAt: 'What?' });
    expect(await chosen('What?', input)).toBe(next);
  });

  test('starts the query once, however often it tries', async () => {
    const { Resource, Arguments, Output, Next, Retry } = states['Start query'];
    expect(flat(Resource)).toMatch(/:states:::aws-sdk:athena:startQueryExecution$/);
    const token = await evaluate(Arguments.ClientRequestToken, { context: execution({}) });
    expect(token).toMatch(/^[0-9a-f]{64}$/);
    expect(await evaluate(Arguments.ClientRequestToken, { context: execution({ query: 'other' }) })).toBe(token);
    expect(Arguments).toMatchObject({ WorkGroup: 'primary', ResultConfiguration: { OutputLocation: 's3://acme-results/athena/' } });
    expect(definition('invoices').States['Start query'].Arguments.ResultConfiguration).toBeUndefined();
    expect(await evaluate(Arguments.QueryString, { input: { query: 'SELECT 1' } })).toBe('SELECT 1');
    expect(await evaluate(Arguments.QueryExecutionContext, { input: { database: 'd' } })).toEqual({ Database: 'd' });
    expect(await evaluate(Arguments.QueryExecutionContext, { input: {} })).toEqual({});
    expect(await evaluate(Output, { result: { QueryExecutionId: 'q' } })).toEqual({ query_execution_id: 'q' });
    expect(Next).toBe('Look');
    expect(Retry[0].ErrorEquals).toContain('Athena.TooManyRequestsException');
  });

  test.each([
    ['QUEUED', 'Wait'],
    ['RUNNING', 'Wait'],
    ['SUCCEEDED', 'Split'],
    ['FAILED', 'Split'],
    ['CANCELLED', 'Split'],
  ])('looks until the query has ended: %s', async (state, next) => {
    const { Resource, Arguments, Output, Next } = states['Look'];
    expect(flat(Resource)).toMatch(/:states:::aws-sdk:athena:getQueryExecution$/);
    const input = { query_execution_id: 'q' };
    expect(await evaluate(Arguments.QueryExecutionId, { input })).toBe('q');
    const looked = (await evaluate(Output, { input, result: { QueryExecution: { Status: { State: state } } } })) as object;
    expect(looked).toEqual({ query_execution_id: 'q', state });
    expect(Next).toBe('Under way?');
    expect(await chosen('Under way?', looked)).toBe(next);
    expect(states['Wait']).toMatchObject({ Type: 'Wait', Seconds: 5, Next: 'Look' });
  });

  test('leaves it to split-plan to name a query that Athena does not know', async () => {
    const [{ ErrorEquals, Next, Output }] = states['Look'].Catch;
    expect(ErrorEquals).toEqual(['Athena.InvalidRequestException']);
    expect(Next).toBe('Split');
    expect(await evaluate(Output, { input: { query_execution_id: 'q' } })).toEqual({ query_execution_id: 'q' });
  });

  test.each([
    ['a result', { result: 's3://b/k' }, undefined, { result: 's3://b/k' }],
    ['a query of its own', { query: 'SELECT 1', database: 'd', confirm: true }, 'q', { query_execution_id: 'q', confirm: true }],
    ['a query', { query_execution_id: 'q', job: 'again', run: 'r' }, 'q', { query_execution_id: 'q', job: 'again', run: 'r' }],
    ['somebody else\'s token', { result: 's3://b/k', task_token: 'x' }, undefined, { result: 's3://b/k' }],
    ['what split-plan will refuse', { result: 's3://b/k', speling: 1 }, undefined, { result: 's3://b/k', speling: 1 }],
  ])('asks split-plan, with its token: %s', async (_, given, query, request) => {
    const { Resource, Arguments } = states['Split'];
    expect(flat(Resource)).toMatch(/:states:::lambda:invoke\.waitForTaskToken$/);
    const asked = await evaluate(Arguments.Payload, {
      input: query === undefined ? given : { query_execution_id: query, state: 'SUCCEEDED' },
      context: { ...execution(given), Task: { Token: 't' } },
    });
    expect(asked).toEqual({ ...request, name: 'user_info', task_token: 't' });
  });

  test('ends with the summary, by the name of the error, or stalled', () => {
    const { End, Output, Retry, Catch } = states['Split'];
    expect(End).toBe(true);
    expect(Output).toBeUndefined();
    const retried = Retry.flatMap(({ ErrorEquals }: { ErrorEquals: string[] }) => ErrorEquals);
    expect(retried).toEqual(expect.arrayContaining(['Lambda.TooManyRequestsException', 'Lakewright.StoreFailed', 'Lakewright.Deadline']));
    for (const error of [
      'Lakewright.AccessDenied',
      'Lakewright.ChunkFailed',
      'Lakewright.KeyCollision',
      'Lakewright.Cancelled',
      'States.TaskFailed',
      'States.ALL',
    ]) {
      expect(retried).not.toContain(error);
    }
    expect(Catch).toEqual([{ ErrorEquals: ['States.HeartbeatTimeout', 'States.Timeout'], Next: 'Stalled' }]);
    expect(states['Stalled']).toMatchObject({ Type: 'Fail', Error: 'Lakewright.Stalled', Cause: expect.stringContaining('135 minutes') });
    expect(states['Bad request']).toMatchObject({ Type: 'Fail', Error: 'Lakewright.BadRequest' });
  });

  test.each([{}, { 'split-rows-timeout': 1 }, { 'split-rows-timeout': 900 }])('hears of a job more often than it must: %j', (context) => {
    const of = template(TWO_SPLITS, context);
    const { HeartbeatSeconds } = definition('userinfo', of).States['Split'];
    const [, { Properties: queue }] = the('AWS::SQS::Queue', 'SplituserinfoQueue', of);
    const givenUp = queue['RedrivePolicy'].maxReceiveCount * queue['VisibilityTimeout'];
    expect(HeartbeatSeconds).toBeGreaterThan(functionOf('split-plan', of)[1].Properties['Timeout'] + givenUp);
    expect(HeartbeatSeconds).toBeLessThan(definition('userinfo', of).TimeoutSeconds);
  });
});

test('buckets of results and objects are made, unless they exist', () => {
  const names = (of: Template) => resources(of, 'AWS::S3::Bucket').map(([, { Properties }]) => Properties['BucketName']);
  expect(names(stack).sort()).toEqual(['acme-objects', 'acme-results']);
  expect(names(template(TWO_SPLITS, { 'create-buckets': 'acme-objects' }))).toEqual(['acme-objects']);
  stack.hasResourceProperties('AWS::S3::Bucket', { NotificationConfiguration: Match.absent() });
});

describe('monitoring', () => {
  test('raises an alarm for what needs a person', () => {
    const raised = resources(stack, 'AWS::CloudWatch::Alarm').map(([, { Properties: { Namespace, MetricName, Threshold, Dimensions } }]) =>
      [Namespace, MetricName, Threshold, ...Dimensions.map((d: any) => flat(d.Value).replace(/[0-9A-F]{8}(\..*)?>$/, '>'))].join(' '),
    );
    expect(raised.sort()).toEqual(
      [
        ...['SplitPlan', 'SplitRows', 'SplitPlanAnywhere', 'SplitRowsAnywhere'].flatMap((name) => [`AWS/Lambda Errors 1 <${name}Function>`, `AWS/Lambda Throttles 1 <${name}Function>`]),
        ...jobs.flatMap((job) => [
          `AWS/SQS ApproximateAgeOfOldestMessage 720 <Split${job}DeadLetterQueue>`,
          `AWS/States ExecutionsFailed 1 <Split${job}MachineStateMachine>`,
          `AWS/States ExecutionsTimedOut 1 <Split${job}MachineStateMachine>`,
        ]),
        ...['user_info', 'invoices'].map((job) => `Lakewright ChunksFailed 1 ${job}`),
      ].sort(),
    );
  });

  test('shows every job on the dashboard', () => {
    const [[, { Properties }]] = resources(stack, 'AWS::CloudWatch::Dashboard') as [[string, Resource]];
    const titles = JSON.parse(flat(Properties['DashboardBody'])).widgets.map((widget: any) => widget.properties.title);
    expect(titles).toEqual([
      ...[['user_info', ''], ['invoices', '-anywhere']].flatMap(([job, own]) => [
        ...['split-plan', 'split-rows'].flatMap((name) => [`${name}${own}: invocations`, `${name}${own}: duration`]),
        ...[`${job}: objects`, `${job}: chunks`, `${job}: messages`],
      ]),
    ]);
  });
});

test('the outputs name what a person or a script looks for', () => {
  expect(Object.keys(stack.findOutputs('*')).sort()).toEqual(
    [
      ...['SplitPlan', 'SplitRows', 'SplitPlanAnywhere', 'SplitRowsAnywhere'].flatMap((id) => [`${id}FunctionName`, `${id}RoleArn`]),
      ...jobs.flatMap((job) =>
        ['QueueUrl', 'DeadLetterQueueUrl', 'TargetBucket', 'StateMachineArn', 'MachineRoleArn'].map((output) => `Split${job}${output}`),
      ),
    ].sort(),
  );
});
