# Python runs this before moto_server, whose own start then ends in serve instead of a
# server: moto is loaded once, and each line "start PORT" on standard input forks a server
# from that, with an account of its own. Its process id is answered; "stop ID" ends it.
import gc
import os
import signal
import sys

import werkzeug.serving

# Python looks for garbage while it loads moto's tables, again and again, which takes it
# longer than what the tests ask for. A server lives for a test only.
gc.disable()

LOADED = "ec2 ecr ecs elasticloadbalancing iam logs rds secretsmanager ssm sts tagging"
run_simple = werkzeug.serving.run_simple


def serve(host, port, app, **options):
    for service in LOADED.split():  # moto loads a service when it is first asked
        scope = f"AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/{service}/aws4_request"
        app.get_application({"HTTP_AUTHORIZATION": scope, "HTTP_HOST": host, "PATH_INFO": "/"})
    os.setsid()  # so that all of them can be ended
    print("loaded", flush=True)
    for line in sys.stdin:
        what, number = line.split()
        if what == "stop":
            os.kill(int(number), signal.SIGKILL)
            os.waitpid(int(number), 0)
            continue
        child = os.fork()
        if child == 0:
            run_simple(host, int(number), app, **options)
            os._exit(0)
        print(child, flush=True)
    os.killpg(0, signal.SIGKILL)  # the tests have ended


werkzeug.serving.run_simple = serve
