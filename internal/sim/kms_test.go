package sim_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// A ciphertext opens only under the encryption context it was made with, in any order.
// https://docs.aws.amazon.com/kms/latest/developerguide/encrypt_context.html
func TestDecryptNeedsTheContext(t *testing.T) {
	k := services(t).KMS()
	made := map[string]string{"purpose": "link", "incident": "1"}
	out, err := k.Encrypt(t.Context(), &kms.EncryptInput{KeyId: aws.String(dataKey), Plaintext: []byte("secret"), EncryptionContext: made})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(out.CiphertextBlob, []byte("secret")) {
		t.Error("the ciphertext shows the plaintext")
	}
	back, err := k.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: out.CiphertextBlob, EncryptionContext: map[string]string{"incident": "1", "purpose": "link"}})
	if err != nil || string(back.Plaintext) != "secret" {
		t.Fatalf("decrypted %v, %v", back, err)
	}
	tampered := bytes.Clone(out.CiphertextBlob)
	tampered[len(tampered)-1] ^= 1
	for name, in := range map[string]*kms.DecryptInput{
		"another purpose":  {CiphertextBlob: out.CiphertextBlob, EncryptionContext: map[string]string{"purpose": "token", "incident": "1"}},
		"less of it":       {CiphertextBlob: out.CiphertextBlob, EncryptionContext: map[string]string{"purpose": "link"}},
		"none":             {CiphertextBlob: out.CiphertextBlob},
		"moved boundaries": {CiphertextBlob: out.CiphertextBlob, EncryptionContext: map[string]string{"purpose": "linkincident", "": "1"}},
		"tampered":         {CiphertextBlob: tampered, EncryptionContext: made},
		"cut off":          {CiphertextBlob: out.CiphertextBlob[:9], EncryptionContext: made},
		"not a ciphertext": {CiphertextBlob: []byte("hello"), EncryptionContext: made},
	} {
		_, err := k.Decrypt(t.Context(), in)
		var invalid *types.InvalidCiphertextException
		if !errors.As(err, &invalid) {
			t.Errorf("%s: error is %v, want InvalidCiphertextException", name, err)
		}
	}
	again, err := k.Encrypt(t.Context(), &kms.EncryptInput{KeyId: aws.String(dataKey), Plaintext: []byte("secret"), EncryptionContext: made})
	if err != nil || bytes.Equal(again.CiphertextBlob, out.CiphertextBlob) {
		t.Errorf("the same plaintext gave the same ciphertext twice (%v)", err)
	}
}

// What one run encrypted and authenticated, the next run's account knows.
func TestKeysOutliveTheSeed(t *testing.T) {
	first, second := servicesWithSeed(t, 1).KMS(), servicesWithSeed(t, 2).KMS()
	out, err := first.Encrypt(t.Context(), &kms.EncryptInput{KeyId: aws.String(dataKey), Plaintext: []byte("secret")})
	if err != nil {
		t.Fatal(err)
	}
	if back, err := second.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: out.CiphertextBlob}); err != nil || string(back.Plaintext) != "secret" {
		t.Errorf("decrypted %v, %v", back, err)
	}
	mac, err := first.GenerateMac(t.Context(), &kms.GenerateMacInput{KeyId: aws.String(macKey), MacAlgorithm: types.MacAlgorithmSpecHmacSha256, Message: []byte("m")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.VerifyMac(t.Context(), &kms.VerifyMacInput{KeyId: aws.String(macKey), MacAlgorithm: types.MacAlgorithmSpecHmacSha256, Message: []byte("m"), Mac: mac.Mac}); err != nil {
		t.Error(err)
	}
}

// A MAC that does not fit is an error, not MacValid false.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_VerifyMac.html
func TestVerifyMac(t *testing.T) {
	k := services(t).KMS()
	mac, err := k.GenerateMac(t.Context(), &kms.GenerateMacInput{KeyId: aws.String(macKey), MacAlgorithm: types.MacAlgorithmSpecHmacSha256, Message: []byte("terminate")})
	if err != nil || len(mac.Mac) != 32 {
		t.Fatalf("MAC %v, %v; want 32 bytes", mac, err)
	}
	ok, err := k.VerifyMac(t.Context(), &kms.VerifyMacInput{KeyId: aws.String(macKey), MacAlgorithm: types.MacAlgorithmSpecHmacSha256, Message: []byte("terminate"), Mac: mac.Mac})
	if err != nil || !ok.MacValid {
		t.Fatalf("its own MAC: %v, %v", ok, err)
	}
	_, err = k.VerifyMac(t.Context(), &kms.VerifyMacInput{KeyId: aws.String(macKey), MacAlgorithm: types.MacAlgorithmSpecHmacSha256, Message: []byte("release"), Mac: mac.Mac})
	var invalid *types.KMSInvalidMacException
	if !errors.As(err, &invalid) {
		t.Errorf("error is %v, want KMSInvalidMacException", err)
	}
}

// https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html#API_Encrypt_Errors
func TestKMSRefusals(t *testing.T) {
	k := services(t).KMS()
	encrypt := func(key string, plain []byte) error {
		_, err := k.Encrypt(t.Context(), &kms.EncryptInput{KeyId: &key, Plaintext: plain})
		return err
	}
	mac := func(key string, algorithm types.MacAlgorithmSpec, message []byte) error {
		_, err := k.GenerateMac(t.Context(), &kms.GenerateMacInput{KeyId: &key, MacAlgorithm: algorithm, Message: message})
		return err
	}
	for _, tt := range []struct {
		name string
		err  error
		code string
	}{
		{"no such key", encrypt("1234", []byte("x")), "NotFoundException"},
		{"encrypt with the HMAC key", encrypt(macKey, []byte("x")), "InvalidKeyUsageException"},
		{"MAC with the encryption key", mac(dataKey, types.MacAlgorithmSpecHmacSha256, []byte("x")), "InvalidKeyUsageException"},
		{"another algorithm", mac(macKey, types.MacAlgorithmSpecHmacSha512, []byte("x")), "InvalidKeyUsageException"},
		{"nothing to encrypt", encrypt(dataKey, []byte{}), "ValidationException"},
		{"more than 4096 bytes", encrypt(dataKey, make([]byte, 4097)), "ValidationException"},
		{"a message of more than 4096 bytes", mac(macKey, types.MacAlgorithmSpecHmacSha256, make([]byte, 4097)), "ValidationException"},
	} {
		t.Run(tt.name, func(t *testing.T) { wantCode(t, tt.err, tt.code, "") })
	}
	_, err := k.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: make([]byte, 6145)})
	wantCode(t, err, "ValidationException", "6144")
	if err := encrypt(dataKey, make([]byte, 4096)); err != nil {
		t.Errorf("4096 bytes: %v", err)
	}
}
