# What bookctl up makes, as somebody would write it in Terraform, and a few
# things more that people have beside it.
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

variable "endpoint" { type = string }
variable "port" { type = number }
variable "engine" { type = string } # PostgreSQL's major version
# What the second apply changes.
variable "idle_timeout" {
  type    = number
  default = 60
}
variable "memory" {
  type    = number
  default = 512
}
variable "retention" {
  type    = number
  default = 14
}
variable "log_statement" {
  type    = string
  default = "ddl"
}
variable "path" {
  type    = string
  default = "/admin/*"
}
variable "most" {
  type    = number
  default = 3
}

provider "aws" {
  region                      = "us-east-1"
  access_key                  = "local"
  secret_key                  = "local"
  skip_metadata_api_check     = true
  skip_credentials_validation = true
  endpoints {
    acm                      = var.endpoint
    applicationautoscaling   = var.endpoint
    ec2                      = var.endpoint
    ecr                      = var.endpoint
    ecs                      = var.endpoint
    elbv2                    = var.endpoint
    iam                      = var.endpoint
    logs                     = var.endpoint
    rds                      = var.endpoint
    resourcegroupstaggingapi = var.endpoint
    route53                  = var.endpoint
    secretsmanager           = var.endpoint
    ssm                      = var.endpoint
    sts                      = var.endpoint
  }
  default_tags { tags = { project = "books" } }
}

data "aws_caller_identity" "me" {}
data "aws_region" "here" {}
data "aws_availability_zones" "available" { state = "available" }

locals { zones = slice(data.aws_availability_zones.available.names, 0, 2) }

resource "aws_vpc" "main" {
  cidr_block           = "10.0.0.0/16"
  enable_dns_hostnames = true
  tags                 = { Name = "books" }
}
resource "aws_subnet" "public" {
  count                   = 2
  vpc_id                  = aws_vpc.main.id
  cidr_block              = "10.0.${count.index}.0/24"
  availability_zone       = local.zones[count.index]
  map_public_ip_on_launch = true
}
resource "aws_subnet" "private" {
  count             = 2
  vpc_id            = aws_vpc.main.id
  cidr_block        = "10.0.${count.index + 10}.0/24"
  availability_zone = local.zones[count.index]
}
resource "aws_internet_gateway" "main" { vpc_id = aws_vpc.main.id }
resource "aws_route_table" "public" { vpc_id = aws_vpc.main.id }
resource "aws_route" "internet" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.main.id
}
resource "aws_route_table_association" "public" {
  count          = 2
  subnet_id      = aws_subnet.public[count.index].id
  route_table_id = aws_route_table.public.id
}
resource "aws_default_security_group" "none" { vpc_id = aws_vpc.main.id }

resource "aws_security_group" "balancer" {
  name_prefix = "balancer-"
  description = "From everywhere"
  vpc_id      = aws_vpc.main.id
  ingress {
    description = "HTTP"
    from_port   = var.port
    to_port     = var.port
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }
  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}
resource "aws_security_group" "task" {
  name   = "task"
  vpc_id = aws_vpc.main.id
}
resource "aws_security_group_rule" "task" {
  type                     = "ingress"
  security_group_id        = aws_security_group.task.id
  from_port                = 8080
  to_port                  = 8080
  protocol                 = "tcp"
  source_security_group_id = aws_security_group.balancer.id
}
resource "aws_security_group" "db" {
  name   = "db"
  vpc_id = aws_vpc.main.id
}
resource "aws_vpc_security_group_ingress_rule" "db" {
  security_group_id            = aws_security_group.db.id
  description                  = "From the tasks, ${var.most} at most"
  from_port                    = 5432
  to_port                      = 5432
  ip_protocol                  = "tcp"
  referenced_security_group_id = aws_security_group.task.id
}

data "aws_secretsmanager_random_password" "db" {
  password_length    = 32
  exclude_characters = "/@\" "
}
resource "aws_secretsmanager_secret" "db" {
  name                    = "books/db"
  recovery_window_in_days = 0
}
resource "aws_secretsmanager_secret_version" "db" {
  secret_id     = aws_secretsmanager_secret.db.id
  secret_string = jsonencode({ username = "books", password = data.aws_secretsmanager_random_password.db.random_password })
  lifecycle { ignore_changes = [secret_string] }
}
resource "aws_ssm_parameter" "greeting" {
  name  = "/books/greeting"
  type  = "String"
  value = "for ${var.retention} days"
}

resource "aws_db_subnet_group" "main" {
  name       = "books"
  subnet_ids = aws_subnet.private[*].id
}
resource "aws_db_parameter_group" "main" {
  name   = "books"
  family = "postgres${var.engine}"
  parameter {
    name  = "log_statement"
    value = var.log_statement
  }
  parameter {
    name         = "max_connections"
    value        = "50"
    apply_method = "pending-reboot"
  }
}
resource "aws_db_instance" "main" {
  identifier                      = "books"
  engine                          = "postgres"
  engine_version                  = var.engine
  instance_class                  = "db.t4g.micro"
  allocated_storage               = 20
  storage_type                    = "gp3"
  db_name                         = "books"
  username                        = "books"
  password                        = data.aws_secretsmanager_random_password.db.random_password
  db_subnet_group_name            = aws_db_subnet_group.main.name
  parameter_group_name            = aws_db_parameter_group.main.name
  vpc_security_group_ids          = [aws_security_group.db.id]
  backup_retention_period         = 1
  copy_tags_to_snapshot           = true
  enabled_cloudwatch_logs_exports = ["postgresql"]
  storage_encrypted               = true
  skip_final_snapshot             = true
  apply_immediately               = true
  lifecycle { ignore_changes = [password] }
}

resource "aws_ecr_repository" "app" {
  name                 = "books"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = true
  image_scanning_configuration { scan_on_push = true }
}
resource "aws_ecr_lifecycle_policy" "app" {
  repository = aws_ecr_repository.app.name
  policy = jsonencode({ rules = [{
    rulePriority = 1
    description  = "Keep ${var.retention} images"
    selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = var.retention }
    action       = { type = "expire" }
  }] })
}
resource "aws_ecr_repository_policy" "app" {
  repository = aws_ecr_repository.app.name
  policy = jsonencode({ Version = "2012-10-17", Statement = [{
    Sid       = "Pull", Effect = "Allow"
    Principal = { AWS = "arn:aws:iam::${data.aws_caller_identity.me.account_id}:root" }
    Action    = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
  }] })
}

resource "aws_cloudwatch_log_group" "app" {
  name              = "/books/app"
  retention_in_days = var.retention
}

data "aws_iam_policy_document" "tasks" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
  }
}
resource "aws_iam_role" "execution" {
  name               = "books-execution"
  assume_role_policy = data.aws_iam_policy_document.tasks.json
}
resource "aws_iam_role_policy" "execution" {
  name   = "secret"
  role   = aws_iam_role.execution.id
  policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = ["secretsmanager:GetSecretValue"], Resource = aws_secretsmanager_secret.db.arn }] })
}
resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}
resource "aws_iam_role" "task" {
  name               = "books-task"
  description        = "What the tasks may do"
  assume_role_policy = data.aws_iam_policy_document.tasks.json
}

resource "aws_ecs_cluster" "main" {
  name = "books"
  setting {
    name  = "containerInsights"
    value = "disabled"
  }
}
resource "aws_ecs_cluster_capacity_providers" "main" {
  cluster_name       = aws_ecs_cluster.main.name
  capacity_providers = ["FARGATE"]
  default_capacity_provider_strategy {
    capacity_provider = "FARGATE"
    weight            = 1
  }
}
resource "aws_ecs_task_definition" "app" {
  family                   = "books"
  network_mode             = "awsvpc"
  requires_compatibilities = ["FARGATE"]
  cpu                      = 256
  memory                   = var.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn
  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "X86_64"
  }
  container_definitions = jsonencode([{
    name         = "app"
    image        = "${aws_ecr_repository.app.repository_url}:v1"
    essential    = true
    portMappings = [{ containerPort = 8080 }]
    environment  = [{ name = "DB_HOST", value = aws_db_instance.main.address }]
    secrets      = [{ name = "DB_PASSWORD", valueFrom = "${aws_secretsmanager_secret.db.arn}:password::" }]
    logConfiguration = {
      logDriver = "awslogs"
      options   = { awslogs-group = aws_cloudwatch_log_group.app.name, awslogs-region = data.aws_region.here.name, awslogs-stream-prefix = "app" }
    }
  }])
}
resource "aws_ecs_service" "app" {
  name            = "app"
  cluster         = aws_ecs_cluster.main.id
  task_definition = aws_ecs_task_definition.app.arn
  desired_count   = 0
  launch_type     = "FARGATE"
  propagate_tags  = "SERVICE"
  network_configuration {
    subnets          = aws_subnet.public[*].id
    security_groups  = [aws_security_group.task.id]
    assign_public_ip = true
  }
  load_balancer {
    target_group_arn = aws_lb_target_group.app.arn
    container_name   = "app"
    container_port   = 8080
  }
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }
  wait_for_steady_state = true
  depends_on            = [aws_lb_listener.http]
  lifecycle { ignore_changes = [desired_count] }
}

resource "aws_lb" "main" {
  name                       = "books"
  subnets                    = aws_subnet.public[*].id
  security_groups            = [aws_security_group.balancer.id]
  drop_invalid_header_fields = true
  idle_timeout               = var.idle_timeout
}
resource "aws_lb_target_group" "app" {
  name                 = "books"
  port                 = 8080
  protocol             = "HTTP"
  target_type          = "ip"
  vpc_id               = aws_vpc.main.id
  deregistration_delay = 5
  health_check { path = "/healthz" }
}
resource "aws_lb_listener" "http" {
  load_balancer_arn                                  = aws_lb.main.arn
  port                                               = var.port
  protocol                                           = "HTTP"
  routing_http_response_server_enabled               = false
  routing_http_response_x_frame_options_header_value = "DENY"
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.app.arn
  }
}
resource "aws_lb_listener_rule" "admin" {
  listener_arn = aws_lb_listener.http.arn
  priority     = 10
  condition {
    path_pattern { values = [var.path] }
  }
  condition {
    http_request_method { values = ["GET", "HEAD"] }
  }
  action {
    type = "fixed-response"
    fixed_response {
      content_type = "text/plain"
      message_body = "not for you"
      status_code  = "403"
    }
  }
}

resource "aws_appautoscaling_target" "app" {
  service_namespace  = "ecs"
  resource_id        = "service/${aws_ecs_cluster.main.name}/${aws_ecs_service.app.name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = 0
  max_capacity       = var.most
}
resource "aws_appautoscaling_policy" "cpu" {
  name               = "cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.app.service_namespace
  resource_id        = aws_appautoscaling_target.app.resource_id
  scalable_dimension = aws_appautoscaling_target.app.scalable_dimension
  target_tracking_scaling_policy_configuration {
    target_value = 60
    predefined_metric_specification { predefined_metric_type = "ECSServiceAverageCPUUtilization" }
  }
}

output "url" { value = "http://${aws_lb.main.dns_name}:${var.port}" }
