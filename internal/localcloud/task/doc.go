// Package task runs container images as plain processes: it pulls an image,
// unpacks its layers and starts its entrypoint, with the output going line by
// line to a sink. Failures are worded as Amazon ECS words them
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html).
package task
