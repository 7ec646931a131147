package sim

import (
	"bytes"
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
)

// KMS holds the stack's keys: one that encrypts, one that authenticates and one
// that signs. It really does all three.
type KMS struct {
	a    *Account
	keys map[string]kmsKey // by ID and by ARN
	n    uint64            // encryptions so far: no two have the same nonce
}

// newKMS makes the keys under their IDs and ARNs; an ID may itself be an ARN.
func newKMS(a *Account) *KMS {
	k := &KMS{a: a, keys: map[string]kmsKey{}}
	for id, usage := range map[string]types.KeyUsageType{
		a.settings.DataKey: types.KeyUsageTypeEncryptDecrypt, a.settings.MACKey: types.KeyUsageTypeGenerateVerifyMac, a.settings.SigningKey: types.KeyUsageTypeSignVerify,
	} {
		arn := id
		if !strings.HasPrefix(id, "arn:") {
			arn = "arn:aws:kms:" + a.region() + ":" + a.account() + ":key/" + id
		}
		made := kmsKey{arn, usage}
		k.keys[id], k.keys[arn], k.keys[arn[strings.LastIndex(arn, "/")+1:]] = made, made, made
	}
	return k
}

// masterKey is what every simulated key is derived from. It is not drawn from
// the seed: what one run encrypted, the next must be able to decrypt.
const masterKey = "cordon rehearsal: this key protects nothing"

// material is the secret of the key with that ARN.
func material(arn string) []byte {
	m := hmac.New(sha256.New, []byte(masterKey))
	m.Write([]byte(arn))
	return m.Sum(nil)
}

// sealed is how a ciphertext begins: what made it, then the length of the key's ARN.
var sealed = []byte("simkms1\x00")

// additional is the encryption context in one order. Keys and values are
// case-sensitive and must all match, in any order.
// https://docs.aws.amazon.com/kms/latest/developerguide/encrypt_context.html
func additional(arn string, context map[string]string) []byte {
	var b []byte
	write := func(s string) { b = append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...) }
	write(arn)
	for _, k := range slices.Sorted(maps.Keys(context)) {
		write(k)
		write(context[k])
	}
	return b
}

func aead(arn string) (cipher.AEAD, error) {
	block, err := aes.NewCipher(material(arn))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// kmsKey is a key of the account.
type kmsKey struct {
	arn   string
	usage types.KeyUsageType
}

// find takes a key ID or a key ARN; the account has no aliases.
// https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#key-id
func (k *KMS) find(id *string, usage types.KeyUsageType) (kmsKey, error) {
	found, ok := k.keys[aws.ToString(id)]
	if !ok {
		return kmsKey{}, &types.NotFoundException{Message: aws.String("Key '" + aws.ToString(id) + "' does not exist")}
	}
	if found.usage != usage {
		return kmsKey{}, &types.InvalidKeyUsageException{Message: aws.String(found.arn + " key usage is " + string(found.usage) + " which is not valid for this operation")}
	}
	return found, nil
}

func invalidKMS(what string, b []byte, most int) error {
	if len(b) >= 1 && len(b) <= most {
		return nil
	}
	return &smithy.GenericAPIError{Code: "ValidationException", Fault: smithy.FaultClient, Message: fmt.Sprintf(
		"1 validation error detected: Value at '%s' failed to satisfy constraint: Member must have length between 1 and %d, has %d", what, most, len(b))}
}

// Encrypt is AES-256-GCM with the encryption context as additional data.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html
func (k *KMS) Encrypt(ctx context.Context, in *kms.EncryptInput, _ ...func(*kms.Options)) (*kms.EncryptOutput, error) {
	return invoke(ctx, k.a, operation{
		service: "kms", action: "Encrypt", resources: []string{aws.ToString(in.KeyId)},
		needs: []string{"KeyId", "Plaintext"},
		takes: []string{"EncryptionContext"},
	}, in, k.encrypt)
}

func (k *KMS) encrypt(in *kms.EncryptInput, _ bool) (*kms.EncryptOutput, error) {
	if err := invalidKMS("plaintext", in.Plaintext, 4096); err != nil {
		return nil, err
	}
	found, err := k.find(in.KeyId, types.KeyUsageTypeEncryptDecrypt)
	if err != nil {
		return nil, err
	}
	gcm, err := aead(found.arn)
	if err != nil {
		return nil, err
	}
	extra := additional(found.arn, in.EncryptionContext)
	k.n++
	m := hmac.New(sha256.New, material(found.arn))
	m.Write(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, k.a.seed()), k.n))
	m.Write(extra)
	m.Write(in.Plaintext)
	nonce := m.Sum(nil)[:gcm.NonceSize()]
	blob := append(binary.BigEndian.AppendUint16(slices.Clone(sealed), uint16(len(found.arn))), found.arn...)
	blob = gcm.Seal(append(blob, nonce...), nonce, in.Plaintext, extra)
	return &kms.EncryptOutput{CiphertextBlob: blob, KeyId: &found.arn, EncryptionAlgorithm: types.EncryptionAlgorithmSpecSymmetricDefault}, nil
}

// Decrypt needs the encryption context that Encrypt was given, exactly. The
// ciphertext says which key made it.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html
func (k *KMS) Decrypt(ctx context.Context, in *kms.DecryptInput, _ ...func(*kms.Options)) (*kms.DecryptOutput, error) {
	return invoke(ctx, k.a, operation{
		service: "kms", action: "Decrypt", resources: []string{aws.ToString(in.KeyId)},
		needs: []string{"CiphertextBlob"},
		takes: []string{"KeyId", "EncryptionContext"},
	}, in, k.decrypt)
}

func (k *KMS) decrypt(in *kms.DecryptInput, _ bool) (*kms.DecryptOutput, error) {
	if err := invalidKMS("ciphertextBlob", in.CiphertextBlob, 6144); err != nil {
		return nil, err
	}
	broken := &types.InvalidCiphertextException{}
	rest, ok := bytes.CutPrefix(in.CiphertextBlob, sealed)
	if !ok || len(rest) < 2 || len(rest) < 2+int(binary.BigEndian.Uint16(rest)) {
		return nil, broken
	}
	arn, rest := string(rest[2:2+binary.BigEndian.Uint16(rest)]), rest[2+binary.BigEndian.Uint16(rest):]
	made, err := k.find(&arn, types.KeyUsageTypeEncryptDecrypt)
	if err != nil {
		return nil, broken
	}
	if in.KeyId != nil {
		named, err := k.find(in.KeyId, types.KeyUsageTypeEncryptDecrypt)
		if err != nil {
			return nil, err
		}
		if named != made {
			return nil, &types.IncorrectKeyException{Message: aws.String("The key ID in the request does not identify a CMK that can perform this operation.")}
		}
	}
	gcm, err := aead(arn)
	if err != nil {
		return nil, err
	}
	if len(rest) < gcm.NonceSize() {
		return nil, broken
	}
	plain, err := gcm.Open(nil, rest[:gcm.NonceSize()], rest[gcm.NonceSize():], additional(arn, in.EncryptionContext))
	if err != nil {
		return nil, broken
	}
	return &kms.DecryptOutput{Plaintext: plain, KeyId: &made.arn, EncryptionAlgorithm: types.EncryptionAlgorithmSpecSymmetricDefault}, nil
}

// mac is the HMAC-SHA-256 of a message under a key of 256 bits.
func (k *KMS) mac(id *string, algorithm types.MacAlgorithmSpec, message []byte) (kmsKey, []byte, error) {
	if err := invalidKMS("message", message, 4096); err != nil {
		return kmsKey{}, nil, err
	}
	found, err := k.find(id, types.KeyUsageTypeGenerateVerifyMac)
	if err != nil {
		return kmsKey{}, nil, err
	}
	if algorithm != types.MacAlgorithmSpecHmacSha256 {
		return kmsKey{}, nil, &types.InvalidKeyUsageException{Message: aws.String("Algorithm " + string(algorithm) + " is incompatible with key spec HMAC_256.")}
	}
	m := hmac.New(sha256.New, material(found.arn))
	m.Write(message)
	return found, m.Sum(nil), nil
}

// GenerateMac is the HMAC of a message of 4,096 bytes at most.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateMac.html
func (k *KMS) GenerateMac(ctx context.Context, in *kms.GenerateMacInput, _ ...func(*kms.Options)) (*kms.GenerateMacOutput, error) {
	return invoke(ctx, k.a, operation{
		service: "kms", action: "GenerateMac", resources: []string{aws.ToString(in.KeyId)},
		needs: []string{"KeyId", "MacAlgorithm", "Message"},
	}, in, k.generateMac)
}

func (k *KMS) generateMac(in *kms.GenerateMacInput, _ bool) (*kms.GenerateMacOutput, error) {
	found, mac, err := k.mac(in.KeyId, in.MacAlgorithm, in.Message)
	if err != nil {
		return nil, err
	}
	return &kms.GenerateMacOutput{KeyId: &found.arn, Mac: mac, MacAlgorithm: in.MacAlgorithm}, nil
}

// VerifyMac answers a MAC that does not fit with an error, never with MacValid false.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_VerifyMac.html
func (k *KMS) VerifyMac(ctx context.Context, in *kms.VerifyMacInput, _ ...func(*kms.Options)) (*kms.VerifyMacOutput, error) {
	return invoke(ctx, k.a, operation{
		service: "kms", action: "VerifyMac", resources: []string{aws.ToString(in.KeyId)},
		needs: []string{"KeyId", "MacAlgorithm", "Message", "Mac"},
	}, in, k.verifyMac)
}

func (k *KMS) verifyMac(in *kms.VerifyMacInput, _ bool) (*kms.VerifyMacOutput, error) {
	if err := invalidKMS("mac", in.Mac, 6144); err != nil {
		return nil, err
	}
	found, mac, err := k.mac(in.KeyId, in.MacAlgorithm, in.Message)
	if err != nil {
		return nil, err
	}
	if !hmac.Equal(mac, in.Mac) {
		return nil, &types.KMSInvalidMacException{}
	}
	return &kms.VerifyMacOutput{KeyId: &found.arn, MacAlgorithm: in.MacAlgorithm, MacValid: true}, nil
}

// Verifies says whether a MAC fits, without a call: for those who check a run afterwards.
func (k *KMS) Verifies(id string, message, mac []byte) bool {
	_, made, err := k.mac(&id, types.MacAlgorithmSpecHmacSha256, message)
	return err == nil && hmac.Equal(made, mac)
}

// privateKey is the private key of an asymmetric key: P-256.
func privateKey(arn string) (*ecdsa.PrivateKey, error) {
	return ecdsa.ParseRawPrivateKey(elliptic.P256(), material(arn))
}

// Sign signs a digest; a message as a whole may have 4,096 bytes at most and is
// not asked for here. The signature of ECDSA is ASN.1 in DER.
// https://docs.aws.amazon.com/cli/latest/reference/kms/sign.html
func (k *KMS) Sign(ctx context.Context, in *kms.SignInput, _ ...func(*kms.Options)) (*kms.SignOutput, error) {
	return invoke(ctx, k.a, operation{
		service: "kms", action: "Sign", resources: []string{aws.ToString(in.KeyId)},
		needs: []string{"KeyId", "Message", "SigningAlgorithm", "MessageType"},
	}, in, k.sign)
}

func (k *KMS) sign(in *kms.SignInput, _ bool) (*kms.SignOutput, error) {
	found, err := k.find(in.KeyId, types.KeyUsageTypeSignVerify)
	if err != nil {
		return nil, err
	}
	if in.SigningAlgorithm != types.SigningAlgorithmSpecEcdsaSha256 {
		return nil, &types.InvalidKeyUsageException{Message: aws.String("Algorithm " + string(in.SigningAlgorithm) + " is incompatible with key spec ECC_NIST_P256.")}
	}
	if in.MessageType != types.MessageTypeDigest || len(in.Message) != sha256.Size {
		return nil, &smithy.GenericAPIError{Code: "ValidationException", Fault: smithy.FaultClient, Message: "Digest is invalid length for algorithm ECDSA_SHA_256."}
	}
	key, err := privateKey(found.arn)
	if err != nil {
		return nil, err
	}
	signature, err := key.Sign(nil, in.Message, crypto.SHA256) // without randomness: the same run, the same signature
	if err != nil {
		return nil, err
	}
	return &kms.SignOutput{KeyId: &found.arn, Signature: signature, SigningAlgorithm: in.SigningAlgorithm}, nil
}

// PublicKey is the public key of a key that signs, in DER, without a call: for
// those who look at a run afterwards.
func (k *KMS) PublicKey(id string) ([]byte, error) {
	out, err := k.publicKey(&kms.GetPublicKeyInput{KeyId: &id}, false)
	if err != nil {
		return nil, err
	}
	return out.PublicKey, nil
}

// GetPublicKey answers the public key in DER.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_GetPublicKey.html
func (k *KMS) GetPublicKey(ctx context.Context, in *kms.GetPublicKeyInput, _ ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error) {
	return invoke(ctx, k.a, operation{
		service: "kms", action: "GetPublicKey", resources: []string{aws.ToString(in.KeyId)},
		needs: []string{"KeyId"},
	}, in, k.publicKey)
}

func (k *KMS) publicKey(in *kms.GetPublicKeyInput, _ bool) (*kms.GetPublicKeyOutput, error) {
	found, err := k.find(in.KeyId, types.KeyUsageTypeSignVerify)
	if err != nil {
		return nil, err
	}
	key, err := privateKey(found.arn)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	return &kms.GetPublicKeyOutput{
		KeyId: &found.arn, PublicKey: der, KeySpec: types.KeySpecEccNistP256, KeyUsage: found.usage,
		SigningAlgorithms: []types.SigningAlgorithmSpec{types.SigningAlgorithmSpecEcdsaSha256},
	}, nil
}
