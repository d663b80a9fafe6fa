# Python runs this before moto_server, whose own start then ends in serve instead of a
# server: moto is loaded once, and each line "start" on standard input forks a server from
# that, with an account of its own. Its process id and the port that the system picked for
# it are answered; "stop ID" ends it.
import gc
import os
import signal
import socket
import sys

import werkzeug.serving

# Python looks for garbage while it loads moto's tables, again and again, which takes it
# longer than what the tests ask for. A server lives for a test only.
gc.disable()

LOADED = "ec2 ecr ecs elasticloadbalancing iam logs rds secretsmanager ssm sts tagging"


def serve(host, port, app, threaded, **options):
    for service in LOADED.split():  # moto loads a service when it is first asked
        scope = f"AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/{service}/aws4_request"
        app.get_application({"HTTP_AUTHORIZATION": scope, "HTTP_HOST": host, "PATH_INFO": "/"})
    os.setsid()  # so that all of them can be ended
    print("loaded", flush=True)
    for line in sys.stdin:
        what, *number = line.split()
        if what == "stop":
            os.kill(int(number[0]), signal.SIGKILL)
            os.waitpid(int(number[0]), 0)
            continue
        # It listens from before its port is known, so that no other server can get that.
        with socket.create_server((host, port), backlog=128) as listener:
            number = listener.getsockname()[1]
            child = os.fork()
            if child == 0:
                os.dup2(2, 1)  # moto prints at times; answers are this process's alone
                server = werkzeug.serving.make_server(host, number, app, threaded, fd=listener.fileno())
                server.serve_forever()
                os._exit(0)
        print(child, number, flush=True)
    os.killpg(0, signal.SIGKILL)  # the tests have ended


werkzeug.serving.run_simple = serve
