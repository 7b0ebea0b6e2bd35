/* Rates one observation with an exported policy, in C, by ONNX Runtime (version 1.12 or later).
 *
 *     cc onnx_monitor.c -I$ORT/include -L$ORT/lib -lonnxruntime -Wl,-rpath,$ORT/lib -o onnx_monitor
 *     ./onnx_monitor policy.onnx 0.3 -0.2 1.7 ...    (the alarm's bound on F, then the observation)
 *
 * ORT is the folder of ONNX Runtime's release archive for C; docs/monitor.md tells how to do without it. An observation that is outside of training's range, or
 * isn't finite, has outside = 1, which is an alarm here too. */

#include <stdio.h>
#include <stdlib.h>

#include "onnxruntime_c_api.h"

static const OrtApi *ort;

static void check(OrtStatus *status) {
    if (status == NULL) return;
    fprintf(stderr, "onnx_monitor: %s\n", ort->GetErrorMessage(status));
    ort->ReleaseStatus(status);
    exit(2);
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: onnx_monitor policy.onnx BOUND NUMBER...\n");
        return 2;
    }
    ort = OrtGetApiBase()->GetApi(12);
    if (ort == NULL) {
        fprintf(stderr, "onnx_monitor: needs ONNX Runtime 1.12 or later\n");
        return 2;
    }

    /* Once, at the start. */
    OrtEnv *env;
    OrtSessionOptions *options;
    OrtSession *session;
    OrtMemoryInfo *memory;
    check(ort->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "statewise", &env));
    check(ort->CreateSessionOptions(&options));
    check(ort->SetIntraOpNumThreads(options, 1));
    check(ort->CreateSession(env, argv[1], options, &session));
    check(ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));

    /* For every observation; `noise` is left out, so that the action is the deterministic one. */
    const float bound = strtof(argv[2], NULL);
    const int size = argc - 3;
    float *obs = malloc(size * sizeof(float));
    for (int i = 0; i < size; i++) obs[i] = strtof(argv[i + 3], NULL);
    const int64_t shape[] = {1, size};
    OrtValue *input = NULL, *output[3] = {NULL, NULL, NULL};
    check(ort->CreateTensorWithDataAsOrtValue(memory, obs, size * sizeof(float), shape, 2,
                                              ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &input));
    const char *inputs[] = {"obs"}, *outputs[] = {"action", "f", "outside"};
    check(ort->Run(session, NULL, inputs, (const OrtValue *const *)&input, 1, outputs, 3, output));

    OrtTensorTypeAndShapeInfo *about;
    size_t actions;
    check(ort->GetTensorTypeAndShape(output[0], &about));
    check(ort->GetTensorShapeElementCount(about, &actions));
    ort->ReleaseTensorTypeAndShapeInfo(about);
    float *action, *f;
    unsigned char *outside;
    check(ort->GetTensorMutableData(output[0], (void **)&action));
    check(ort->GetTensorMutableData(output[1], (void **)&f));
    check(ort->GetTensorMutableData(output[2], (void **)&outside));
    for (size_t i = 0; i < actions; i++) printf("action[%zu] %.9g\n", i, action[i]);
    /* Written so that a NaN is an alarm. */
    printf("f %.9g\noutside %d\nalarm %d\n", f[0], outside[0], !(f[0] <= bound) || outside[0]);

    for (int i = 0; i < 3; i++) ort->ReleaseValue(output[i]);
    ort->ReleaseValue(input);
    free(obs);
    ort->ReleaseMemoryInfo(memory);
    ort->ReleaseSession(session);
    ort->ReleaseSessionOptions(options);
    ort->ReleaseEnv(env);
    return 0;
}
