"""A server that speaks S3, with one account and one bucket, for as long as its standard input is open.

It prints one line: its URL, the account's key id and its secret key. Requests that are not signed by them are refused. Then each line
of its standard input is answered by one:

    list            all objects, {name: content in base64}
    put NAME TEXT   an object of somebody else
    fill NAME ..    many of them
    delete NAME
"""

import base64
import json
import logging
import sys

import boto3
from moto import settings
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
url = f"http://{host}:{port}"
place = {"endpoint_url": url, "region_name": "us-east-1"}
anybody = {"aws_access_key_id": "anybody", "aws_secret_access_key": "anybody"}

iam = boto3.client("iam", **place, **anybody)
iam.create_user(UserName="renkei")
keys = iam.create_access_key(UserName="renkei")["AccessKey"]
allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
iam.put_user_policy(UserName="renkei", PolicyName="all", PolicyDocument=policy)
boto3.client("s3", **place, **anybody).create_bucket(Bucket="lake")
# From here on signatures count.
settings.INITIAL_NO_AUTH_ACTION_COUNT = 0

print(url, keys["AccessKeyId"], keys["SecretAccessKey"], flush=True)
own = boto3.client(
    "s3", **place, aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"]
)
for line in sys.stdin:
    verb, *words = line.split()
    if verb == "put":
        own.put_object(Bucket="lake", Key=words[0], Body=words[1].encode())
    elif verb == "fill":
        for name in words:
            own.put_object(Bucket="lake", Key=name, Body=b"x")
        print("{}", flush=True)
        continue
    elif verb == "delete":
        own.delete_object(Bucket="lake", Key=words[0])
    listed = [item["Key"] for item in own.list_objects_v2(Bucket="lake").get("Contents", [])]
    content = {key: own.get_object(Bucket="lake", Key=key)["Body"].read() for key in listed}
    print(json.dumps({key: base64.b64encode(bytes).decode() for key, bytes in content.items()}), flush=True)
server.stop()
