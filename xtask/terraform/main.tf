# The stack of a package that `cargo xtask package --config` made, for those who deploy with Terraform. It lies beside the template.
#
#   module "lakewright" {
#     source      = "./lakewright"
#     code_bucket = "acme-deployments"
#   }

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "code_bucket" {
  description = "A bucket for the functions' zips, the configuration and the template, in the stack's region."
  type        = string
}

variable "code_prefix" {
  description = "What their keys begin with: empty, or with a slash at its end."
  type        = string
  default     = "lakewright/"
}

variable "stack_name" {
  description = "The name of the stack."
  type        = string
  default     = "Lakewright"
}

variable "tags" {
  description = "Tags of the stack and of all its resources."
  type        = map(string)
  default     = {}
}

locals {
  # Their names are hashes of what they hold: a file that changed is another object, which updates the stack.
  files = fileset("${path.module}/assets", "*")
}

resource "aws_s3_object" "file" {
  for_each    = local.files
  bucket      = var.code_bucket
  key         = "${var.code_prefix}${each.key}"
  source      = "${path.module}/assets/${each.key}"
  source_hash = filemd5("${path.module}/assets/${each.key}")
}

resource "aws_s3_object" "template" {
  bucket      = var.code_bucket
  key         = "${var.code_prefix}${filesha256("${path.module}/lakewright.template.json")}.template.json"
  source      = "${path.module}/lakewright.template.json"
  source_hash = filemd5("${path.module}/lakewright.template.json")
}

resource "aws_cloudformation_stack" "lakewright" {
  name         = var.stack_name
  template_url = "https://${var.code_bucket}.s3.${data.aws_region.current.name}.${data.aws_partition.current.dns_suffix}/${aws_s3_object.template.key}"
  capabilities = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]
  parameters = {
    CodeBucket = var.code_bucket
    CodePrefix = var.code_prefix
  }
  tags       = var.tags
  depends_on = [aws_s3_object.file]
}

data "aws_region" "current" {}

data "aws_partition" "current" {}

output "outputs" {
  description = "The outputs of the stack: names of functions, URLs of queues, ARNs of roles."
  value       = aws_cloudformation_stack.lakewright.outputs
}
