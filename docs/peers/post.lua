wrk.method = "POST"
wrk.body = '{"input": 1}'
wrk.headers["Content-Type"] = "application/json"
