/** A function role's permissions on the data: only for the prefixes and tables in the configuration. */
import { ArnFormat, Stack, Validations } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type { Asset } from 'aws-cdk-lib/aws-s3-assets';
import type { Construct } from 'constructs';
import type { Stored, TableName } from './config.ts';
import type { Location } from './location.ts';
import { assetsKey, bucketKeys, bucketOwner, catalogKey, queueKey } from './options.ts';

/** Reads and creates objects under a prefix, as a job wants them. Nothing there is deleted. */
export function grantReadWrite(role: iam.Role, prefix: Location, stored: Stored): void {
  grantObjects(role, prefix, ['s3:GetObject', 's3:PutObject', 's3:AbortMultipartUpload', ...tagging(stored)]);
  grantList(role, prefix);
}

/** Copies objects from prefixes to others, with their tags. https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html */
export function grantCopy(role: iam.Role, from: readonly Location[], to: readonly Location[]): void {
  for (const prefix of from) {
    grantObjects(role, prefix, ['s3:GetObjectTagging']);
  }
  for (const prefix of to) {
    grantObjects(role, prefix, ['s3:PutObjectTagging']);
  }
}

/** Creates objects under a prefix, as a job wants them. */
export function grantCreate(role: iam.IRole, prefix: Location, stored: Stored): void {
  grantObjects(role, prefix, ['s3:PutObject', ...tagging(stored)]);
}

/** Creates objects under a prefix, and finds them again. */
export function grantNotes(role: iam.IRole, prefix: Location): void {
  grantObjects(role, prefix, ['s3:PutObject']);
  grantList(role, prefix);
}

/** Reads objects under a prefix whose keys it is told, and which are there. */
export function grantReadNamed(role: iam.IRole, prefix: Location): void {
  grantObjects(role, prefix, ['s3:GetObject']);
}

/** Reads the objects under a prefix that are current, and learns that one is gone. */
export function grantReadCurrent(role: iam.IRole, prefix: Location): void {
  grantObjects(role, prefix, ['s3:GetObject']);
  grantList(role, prefix);
}

/** Reads the current objects of every bucket of the account: for a job with `allow_any_source = true`. */
export function grantReadAnywhere(role: iam.Role): void {
  const { partition, account } = Stack.of(role);
  role.addToPolicy(
    new iam.PolicyStatement({
      actions: ['s3:GetObject', 's3:ListBucket'],
      resources: [`arn:${partition}:s3:::*`],
      conditions: { StringEquals: { 's3:ResourceAccount': account } },
    }),
  );
  Validations.of(role).acknowledge({
    id: 'AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:s3:::*]',
    reason: 'The configuration says `allow_any_source = true`.',
  });
  for (const key of new Set(bucketKeys(role.node).values())) {
    grantKey(role, key, KEY_ACTIONS.read);
  }
}

/** Reads and creates the entries of a ledger. */
export function grantLedger(role: iam.Role, prefix: Location, stored: Stored): void {
  grantObjects(role, prefix, ['s3:GetObject', 's3:PutObject', ...tagging(stored)]);
  grantList(role, prefix);
}

/** Notes in the ledger of a partition that its plan failed for good. */
export function grantNoteFailure(role: iam.Role, prefix: Location, stored: Stored): void {
  onBucket(role, prefix, ['s3:PutObject', ...tagging(stored)], `/${prefix.key}*/failed/*`);
  Validations.of(role).acknowledge({
    id: `AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:s3:::${prefix.bucket}/${prefix.key}*/failed/*]`,
    reason: 'Each partition has a ledger of its own.',
  });
}

/** Says below a prefix that its files are whole. */
export function grantSuccess(role: iam.Role, prefix: Location, stored: Stored): void {
  onBucket(role, prefix, ['s3:PutObject', ...tagging(stored)], `/${prefix.key}*_SUCCESS`);
  Validations.of(role).acknowledge({
    id: `AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:s3:::${prefix.bucket}/${prefix.key}*_SUCCESS]`,
    reason: 'Each output has a directory of its own.',
  });
}

/** Creates the objects of rows with the job's attributes, and reads objects that already have their keys. */
export function grantRows(role: iam.Role, target: Location, stored: Stored): void {
  grantObjects(role, target, ['s3:GetObject', 's3:PutObject', ...tagging(stored)]);
  grantList(role, target);
}

/** Tags go up with an object. https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html */
function tagging({ tagged }: Stored): string[] {
  return tagged ? ['s3:PutObjectTagging'] : [];
}

/** Has Athena keep results under a prefix. https://docs.aws.amazon.com/athena/latest/ug/querying.html */
export function grantResults(role: iam.Role, prefix: Location): void {
  grantObjects(role, prefix, [
    's3:GetObject',
    's3:PutObject',
    's3:AbortMultipartUpload',
    's3:ListMultipartUploadParts',
  ]);
  grantList(role, prefix);
  onBucket(role, prefix, ['s3:GetBucketLocation']);
}

/** Asks after queries of these workgroups, and for the columns of their results. */
export function grantQueries(role: iam.Role, workgroups: readonly string[]): void {
  role.addToPolicy(
    new iam.PolicyStatement({
      actions: ['athena:GetQueryExecution', 'athena:GetQueryResults'],
      resources: workgroups.map((name) => workgroupArn(role, name)),
    }),
  );
}

export function workgroupArn(scope: Construct, name: string): string {
  return Stack.of(scope).formatArn({ service: 'athena', resource: 'workgroup', resourceName: name });
}

/**
 * What a key is used for. A multipart upload needs to decrypt as well, and so does a message to an encrypted queue.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
 * https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html
 */
const KEY_ACTIONS = { read: ['kms:Decrypt'], write: ['kms:GenerateDataKey', 'kms:Decrypt'] };

/** Uses the key that a job encrypts its objects with. */
export function grantEncryption(role: iam.IRole, { encryptionKey }: Stored, use: keyof typeof KEY_ACTIONS = 'write'): void {
  if (encryptionKey !== undefined) {
    grantKey(role, encryptionKey, KEY_ACTIONS[use]);
  }
}

/** Reads from the queues, or writes to them, where they are encrypted with a key of the account. */
export function grantQueueKey(role: iam.IRole, use: keyof typeof KEY_ACTIONS): void {
  const key = queueKey(role.node);
  if (key !== undefined) {
    grantKey(role, key, KEY_ACTIONS[use]);
  }
}

/** Reads the asset that is the configuration. */
export function grantAsset(role: iam.Role, { bucket, s3ObjectKey }: Asset): void {
  role.addToPolicy(
    new iam.PolicyStatement({
      actions: ['s3:GetObject'],
      resources: [bucket.arnForObjects(s3ObjectKey)],
      conditions: { StringEquals: { 's3:ResourceAccount': Stack.of(role).account } },
    }),
  );
  const key = assetsKey(role.node);
  if (key !== undefined) {
    grantKey(role, key, KEY_ACTIONS.read);
  }
}

/**
 * Lets Lambda attach a function to a VPC. Lambda calls EC2 by the function's role, and the function's own code may not.
 * https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
 */
export function grantInterfaces(role: iam.Role, functionName: string): void {
  const actions = [
    'ec2:CreateNetworkInterface',
    'ec2:DescribeNetworkInterfaces',
    'ec2:DescribeSubnets',
    'ec2:DeleteNetworkInterface',
    'ec2:AssignPrivateIpAddresses',
    'ec2:UnassignPrivateIpAddresses',
  ];
  const own = Stack.of(role).formatArn({ service: 'lambda', resource: 'function', resourceName: functionName, arnFormat: ArnFormat.COLON_RESOURCE_NAME });
  role.addToPolicy(new iam.PolicyStatement({ actions, resources: ['*'] }));
  role.addToPolicy(
    new iam.PolicyStatement({
      effect: iam.Effect.DENY,
      actions,
      resources: ['*'],
      conditions: { ArnEquals: { 'lambda:SourceFunctionArn': own } },
    }),
  );
  Validations.of(role).acknowledge({
    id: 'AwsSolutions-IAM5[Resource::*]',
    reason: 'EC2 takes no narrower resource for some of them, and the code of the function is denied all of them.',
  });
}

/** Uses a KMS key, given by its ARN, id or alias. */
function grantKey(role: iam.IRole, key: string, actions: string[]): void {
  const kms = (resourceName: string) => Stack.of(role).formatArn({ service: 'kms', resource: 'key', resourceName });
  // A policy cannot name an alias as a resource, only in a condition on its key.
  // https://docs.aws.amazon.com/kms/latest/developerguide/alias-authorization.html
  const alias = /(?:^|:)(alias\/.+)$/.exec(key)?.[1];
  role.addToPrincipalPolicy(
    new iam.PolicyStatement({
      actions,
      resources: [alias !== undefined ? kms('*') : key.startsWith('arn:') ? key : kms(key)],
      ...(alias === undefined
        ? {}
        : { conditions: { 'ForAnyValue:StringEquals': { 'kms:ResourceAliases': alias } } }),
    }),
  );
  if (alias !== undefined) {
    Validations.of(role).acknowledge({
      id: 'AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:kms:<AWS::Region>:<AWS::AccountId>:key/*]',
      reason: 'The condition holds it to the key of the configured alias.',
    });
  }
}

/**
 * Reads a secret in all its versions: `secretsmanager:NAME`, behind whose name Secrets Manager puts a hyphen and six characters, or
 * `ssm:NAME`. The AWS managed keys of both decrypt for whoever may read; a key of one's own says in its policy for whom it does.
 * https://docs.aws.amazon.com/secretsmanager/latest/userguide/auth-and-access_iam-policies.html
 * https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-access.html
 * https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html
 */
export function grantSecret(role: iam.Role, secret: string): void {
  const [service, name] = secret.split(/:(.*)/s) as [string, string];
  const parameter = name.replace(/^\//, '');
  const [action, arns] =
    service === 'ssm'
      ? // AWS does not say whether a version is a part of the resource that is judged.
        ['ssm:GetParameter', [parameter, `${parameter}:*`].map((resourceName) => ({ service, resource: 'parameter', resourceName }))]
      : [
          'secretsmanager:GetSecretValue',
          [{ service, resource: 'secret', resourceName: `${name}-??????`, arnFormat: ArnFormat.COLON_RESOURCE_NAME }],
        ];
  role.addToPolicy(new iam.PolicyStatement({ actions: [action], resources: arns.map((arn) => Stack.of(role).formatArn(arn)) }));
}

/** Reads a table, and where its partitions are. */
export function grantReadTable(role: iam.Role, name: TableName): void {
  grantTable(role, name, ['glue:GetTable', 'glue:GetPartitions']);
}

/** Reads a table and its partitions, with their columns. */
export function grantReadPartitions(role: iam.Role, name: TableName): void {
  grantTable(role, name, ['glue:GetTable', 'glue:GetPartitions', 'glue:BatchGetPartition']);
}

/** Points partitions of a table at other places. */
export function grantMovePartitions(role: iam.Role, name: TableName): void {
  grantTable(role, name, ['glue:BatchGetPartition', 'glue:BatchUpdatePartition']);
}

/** Registers partitions of a table, and creates and changes the table itself. */
export function grantManageTable(role: iam.Role, name: TableName): void {
  grantPartitions(role, name);
  grantTable(role, name, ['glue:CreateTable', 'glue:UpdateTable', 'glue:BatchUpdatePartition']);
}

/** Adds columns to a table. */
export function grantColumns(role: iam.Role, name: TableName): void {
  grantTable(role, name, ['glue:UpdateTable']);
}

/** Deletes objects under prefixes, but nothing of a ledger there. */
export function grantDeleteData(role: iam.Role, prefixes: readonly Location[], ledger: Location): void {
  for (const prefix of prefixes) {
    grantDelete(role, prefix);
  }
  role.addToPolicy(
    new iam.PolicyStatement({
      effect: iam.Effect.DENY,
      actions: ['s3:DeleteObject', 's3:DeleteObjectVersion'],
      resources: [`${bucketArn(role, ledger)}/${ledger.key}*`],
    }),
  );
}

/** Deletes objects under a prefix. */
export function grantDelete(role: iam.Role, prefix: Location): void {
  grantObjects(role, prefix, ['s3:DeleteObject']);
}

/** Reads a table and registers partitions of it. */
export function grantPartitions(role: iam.Role, name: TableName): void {
  grantTable(role, name, ['glue:GetTable', 'glue:BatchGetPartition', 'glue:BatchCreatePartition']);
}

function grantTable(role: iam.Role, { database, table }: TableName, actions: string[]): void {
  const stack = Stack.of(role);
  const glue = (resource: string) => stack.formatArn({ service: 'glue', resource, arnFormat: ArnFormat.NO_RESOURCE_NAME });
  const key = catalogKey(role.node);
  if (key !== undefined) {
    // https://docs.aws.amazon.com/glue/latest/dg/encrypt-glue-data-catalog.html
    const writes = actions.some((action) => /:(Create|Update|Batch(Create|Update))/.test(action));
    grantKey(role, key, writes ? [...KEY_ACTIONS.write, 'kms:Encrypt'] : KEY_ACTIONS.read);
  }
  role.addToPolicy(
    new iam.PolicyStatement({
      actions,
      resources: [glue('catalog'), glue(`database/${database}`), glue(`table/${database}/${table}`)],
    }),
  );
}

function grantObjects(role: iam.IRole, prefix: Location, actions: string[]): void {
  onBucket(role, prefix, actions, `/${prefix.key}*`);
  Validations.of(role).acknowledge({
    id: `AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:s3:::${prefix.bucket}/${prefix.key}*]`,
    reason: 'The keys below a configured prefix are not known in advance.',
  });
}

/**
 * A read of a missing key is answered 404 only where s3:ListBucket is allowed, and such a read carries no
 * s3:prefix: hence `IfExists`, which holds the listings that name a prefix to ours.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
 */
function grantList(role: iam.IRole, prefix: Location): void {
  onBucket(role, prefix, ['s3:ListBucket'], '', { StringLikeIfExists: { 's3:prefix': `${prefix.key}*` } });
}

/**
 * A bucket's name is free again when the bucket is deleted: if another account then creates a bucket of this name, the role
 * neither reads theirs nor writes to it.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html
 */
function onBucket(role: iam.IRole, prefix: Location, actions: string[], objects = '', conditions: iam.Conditions = {}): void {
  role.addToPrincipalPolicy(
    new iam.PolicyStatement({
      actions,
      resources: [`${bucketArn(role, prefix)}${objects}`],
      conditions: { StringEquals: { 's3:ResourceAccount': bucketOwner(role, prefix.bucket) }, ...conditions },
    }),
  );
  const key = bucketKeys(role.node).get(prefix.bucket);
  const used = [
    ...(actions.includes('s3:PutObject') ? ['kms:GenerateDataKey'] : []),
    ...(actions.includes('s3:GetObject') || actions.includes('s3:AbortMultipartUpload') ? ['kms:Decrypt'] : []),
  ];
  if (key !== undefined && used.length > 0) {
    grantKey(role, key, used);
  }
}

function bucketArn(role: iam.IRole, { bucket }: Location): string {
  return `arn:${Stack.of(role).partition}:s3:::${bucket}`;
}
