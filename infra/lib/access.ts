/** What a function's role may do with the data: the prefixes and tables that the configuration names, no more. */
import { ArnFormat, Stack, Validations } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type { TableName } from './config.ts';
import type { Location } from './location.ts';

/** Reads objects under a prefix, and learns that one is gone. */
export function grantRead(role: iam.Role, prefix: Location): void {
  grantObjects(role, prefix, ['s3:GetObject', 's3:GetObjectVersion']);
  grantList(role, prefix);
}

/** Reads and creates objects under a prefix. Nothing there is deleted. */
export function grantReadWrite(role: iam.Role, prefix: Location): void {
  grantObjects(role, prefix, [
    's3:GetObject',
    's3:PutObject',
    's3:AbortMultipartUpload',
    's3:ListMultipartUploadParts',
  ]);
  grantList(role, prefix);
}

/** Deletes objects under a prefix. */
export function grantDelete(role: iam.Role, prefix: Location): void {
  grantObjects(role, prefix, ['s3:DeleteObject']);
}

/** Reads a table and registers partitions of it. */
export function grantPartitions(role: iam.Role, { database, table }: TableName): void {
  const stack = Stack.of(role);
  const glue = (resource: string) => stack.formatArn({ service: 'glue', resource, arnFormat: ArnFormat.NO_RESOURCE_NAME });
  role.addToPolicy(
    new iam.PolicyStatement({
      actions: [
        'glue:GetTable',
        'glue:BatchGetPartition',
        'glue:BatchCreatePartition',
        'glue:BatchUpdatePartition',
      ],
      resources: [glue('catalog'), glue(`database/${database}`), glue(`table/${database}/${table}`)],
    }),
  );
}

function grantObjects(role: iam.Role, prefix: Location, actions: string[]): void {
  role.addToPolicy(new iam.PolicyStatement({ actions, resources: [`${bucketArn(role, prefix)}/${prefix.key}*`] }));
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
function grantList(role: iam.Role, prefix: Location): void {
  role.addToPolicy(
    new iam.PolicyStatement({
      actions: ['s3:ListBucket'],
      resources: [bucketArn(role, prefix)],
      conditions: { StringLikeIfExists: { 's3:prefix': `${prefix.key}*` } },
    }),
  );
}

function bucketArn(role: iam.Role, { bucket }: Location): string {
  return `arn:${Stack.of(role).partition}:s3:::${bucket}`;
}
