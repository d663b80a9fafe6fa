// Reads a stack by the AWS SDK for JavaScript, whose modules are in the directory
// that is the argument, and prints what it found as JSON. The SDK takes the
// endpoint, region and credentials from the environment.
import { createRequire } from 'node:module'

const load = createRequire(process.argv[2] + '/')
const { EC2Client, DescribeVpcsCommand, paginateDescribeSecurityGroups } = load('@aws-sdk/client-ec2')
const { ECSClient, DescribeServicesCommand, ListTasksCommand } = load('@aws-sdk/client-ecs')
const { ElasticLoadBalancingV2Client, DescribeTargetGroupsCommand, DescribeTargetHealthCommand } = load('@aws-sdk/client-elastic-load-balancing-v2')
const { IAMClient, GetRoleCommand } = load('@aws-sdk/client-iam')
const { RDSClient, DescribeDBInstancesCommand, waitUntilDBInstanceAvailable } = load('@aws-sdk/client-rds')
const { SecretsManagerClient, DescribeSecretCommand } = load('@aws-sdk/client-secrets-manager')

const found = {}
const ec2 = new EC2Client()
const { Vpcs } = await ec2.send(new DescribeVpcsCommand({ Filters: [{ Name: 'tag:bookctl:stack', Values: ['book'] }] }))
found.vpcs = Vpcs.map((v) => v.CidrBlock)
found.groups = 0
for await (const page of paginateDescribeSecurityGroups({ client: ec2, pageSize: 5 }, { Filters: [{ Name: 'vpc-id', Values: [Vpcs[0].VpcId] }] })) {
  found.groups += page.SecurityGroups.length
}
const ecs = new ECSClient()
const { services } = await ecs.send(new DescribeServicesCommand({ cluster: 'book-cluster', services: ['book-service'] }))
found.running = services[0].runningCount
found.began = services[0].createdAt instanceof Date
found.tasks = (await ecs.send(new ListTasksCommand({ cluster: 'book-cluster' }))).taskArns.length
const elb = new ElasticLoadBalancingV2Client()
const { TargetGroups } = await elb.send(new DescribeTargetGroupsCommand({ Names: ['book-tasks'] }))
const { TargetHealthDescriptions } = await elb.send(new DescribeTargetHealthCommand({ TargetGroupArn: TargetGroups[0].TargetGroupArn }))
found.targets = TargetHealthDescriptions.map((t) => t.TargetHealth.State)
const rds = new RDSClient()
await waitUntilDBInstanceAvailable({ client: rds, maxWaitTime: 60 }, { DBInstanceIdentifier: 'book-database' })
found.database = (await rds.send(new DescribeDBInstancesCommand({ DBInstanceIdentifier: 'book-database' }))).DBInstances[0].Endpoint.Port > 0
found.secret = (await new SecretsManagerClient().send(new DescribeSecretCommand({ SecretId: 'book/database' }))).Name
try {
  await new IAMClient().send(new GetRoleCommand({ RoleName: 'nobody' }))
} catch (e) {
  found.error = [e.name, e.$metadata.httpStatusCode]
}
console.log(JSON.stringify(found))
