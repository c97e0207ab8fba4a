"""What the Python programs share: a plan from the command line, one line of JSON for each step of it."""
import json
import sys
import urllib.request


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    urllib.request.urlopen(request).read()


def run(modes):
    """`modes` maps a name to a function of the plan that returns the final object."""
    plan = json.loads(sys.argv[1])
    for step in plan["steps"]:
        post(plan["control"] + "/reset", None)
        post(f"{plan['control']}/{plan['model_vendor']}/turns", step["turns"])
        try:
            outcome = {"result": modes[step["mode"]](plan)}
        except Exception as error:  # told to the caller, who knows what was expected
            outcome = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps({"mode": step["mode"], **outcome}), flush=True)
